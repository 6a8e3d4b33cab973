-- Hold the jobs of a series until the transaction ends.
-- $1 series  $2 its owner (null: any)
SELECT jobs.id, jobs.state, jobs.attempt
  FROM jobs
  JOIN projects ON projects.seq = jobs.project
 WHERE jobs.series = $1
   AND ($2::text IS NULL OR projects.owner = $2)
 ORDER BY jobs.id -- as others do who hold many
   FOR UPDATE OF jobs;
