-- The jobs that wait for a version's images, oldest first.
-- $1 version  $2 states
SELECT id, attempt
  FROM jobs
 WHERE version = $1
   AND state = ANY ($2::job_state[])
 ORDER BY seq;
