-- Write down what queued jobs wait for, only where it is something else than before.
-- $1 jobs  $2 reasons
UPDATE jobs
   SET reason = given.reason
  FROM unnest($1::text[], $2::text[]) AS given (job, reason)
 WHERE jobs.id = given.job
   AND jobs.state = 'queued'
   AND jobs.reason <> given.reason;
