-- Write down how often servers were started again, only where it is another number than before.
-- $1 jobs  $2 attempts  $3 restarts  $4 epoch (null: whoever acts)
UPDATE jobs
   SET restarts = given.restarts
  FROM unnest($1::text[], $2::integer[], $3::integer[]) AS given (job, attempt, restarts)
 WHERE jobs.id = given.job
   AND jobs.attempt = given.attempt
   AND jobs.restarts <> given.restarts
   AND ($4::bigint IS NULL
        OR EXISTS (SELECT FROM leaders
                    WHERE leaders.target = jobs.target AND leaders.epoch = $4 FOR SHARE));
