-- How those of some jobs run that are in one of some states.
-- $1 jobs  $2 states
SELECT id, version, configuration
  FROM jobs
 WHERE id = ANY ($1::text[])
   AND state = ANY ($2::job_state[])
 ORDER BY seq;
