-- Write down what jobs wait for, or what is wrong with those that have begun, only where it is
-- something else than before.
-- $1 jobs  $2 attempts  $3 reasons  $4 the same in parts, one for each of them
-- $5 whether each is in the queue  $6 epoch (null: whoever acts)
WITH changed AS ( -- held in one order, as others do who hold many
    SELECT jobs.id, given.reason, given.waits
      FROM jobs
      JOIN unnest($1::text[], $2::integer[], $3::text[], $4::jsonb[], $5::boolean[])
           AS given (job, attempt, reason, waits, queued)
        ON given.job = jobs.id
     WHERE jobs.attempt = given.attempt
       AND jobs.state = ANY (CASE WHEN given.queued THEN '{queued}'::job_state[]
                                  ELSE '{starting,running}'::job_state[] END)
       AND (jobs.reason, jobs.waits) IS DISTINCT FROM (given.reason, given.waits)
       AND ($6::bigint IS NULL
            OR EXISTS (SELECT FROM leaders
                        WHERE leaders.target = jobs.target AND leaders.epoch = $6 FOR SHARE))
     ORDER BY jobs.id
       FOR NO KEY UPDATE OF jobs
)
UPDATE jobs
   SET reason = changed.reason,
       waits = changed.waits
  FROM changed
 WHERE jobs.id = changed.id;
