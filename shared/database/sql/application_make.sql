-- Write down an application, its first revision and that it was submitted, in one statement.
-- No row when an application of that name is there, whoever's it is.
-- $1 id  $2 project  $3 name  $4 target  $5 graph  $6 as its owner wrote it
-- $7 type of the fact  $8 the fact
WITH made AS (
    INSERT INTO applications (id, project, name, target)
    VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
    RETURNING id, project
), written AS (
    INSERT INTO revisions (application, revision, graph, written)
    SELECT made.id, 1, $5::jsonb, $6::jsonb FROM made
)
INSERT INTO events (type, project, source, subject, data)
SELECT $7, made.project, '/' || projects.owner || '/' || projects.name, made.id, $8::jsonb
  FROM made
  JOIN projects ON projects.seq = made.project
RETURNING seq;
