-- Write a source that is to be fetched. No row: the project has too many that wait.
-- $1 id  $2 project  $3 url  $4 ref  $5 path  $6 how many may wait
INSERT INTO sources (id, project, url, ref, path)
SELECT $1, $2, $3, $4, $5
 WHERE (SELECT count(*) FROM sources WHERE project = $2 AND state = 'fetching') < $6
RETURNING id;
