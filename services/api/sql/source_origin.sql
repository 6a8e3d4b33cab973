-- Where a project's archive was fetched from last; no row when it was uploaded.
-- $1 project  $2 digest
SELECT url, ref, commit
  FROM sources
 WHERE project = $1
   AND digest = $2
   AND state = 'ready'
 ORDER BY seq DESC
 LIMIT 1;
