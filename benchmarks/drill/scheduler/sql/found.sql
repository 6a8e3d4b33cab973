-- Some jobs by chance, in one of these states.
-- $1 states  $2 how many
SELECT id AS job, attempt
  FROM jobs
 WHERE state = ANY ($1::text[]::job_state[])
 ORDER BY random()
 LIMIT $2;
