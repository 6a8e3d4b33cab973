-- Forget what the terminated and purged jobs of a target printed.
-- $1 target
DELETE FROM logs
 USING jobs
 WHERE jobs.target = $1
   AND jobs.state IN ('terminated', 'purged')
   AND logs.subject = jobs.id;
