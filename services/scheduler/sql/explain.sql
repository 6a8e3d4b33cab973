-- Write down what jobs wait for, or what is wrong with those that have begun, only where it is
-- something else than before.
-- $1 jobs  $2 attempts  $3 reasons  $4 whether each is in the queue
UPDATE jobs
   SET reason = given.reason
  FROM unnest($1::text[], $2::integer[], $3::text[], $4::boolean[])
       AS given (job, attempt, reason, queued)
 WHERE jobs.id = given.job
   AND jobs.attempt = given.attempt
   AND jobs.state = ANY (CASE WHEN given.queued THEN '{queued}'::job_state[]
                              ELSE '{starting,running}'::job_state[] END)
   AND jobs.reason <> given.reason;
