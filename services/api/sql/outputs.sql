-- What a batch job left behind, while that is kept. No row when it left nothing.
-- $1 job
SELECT outputs, outputs_size
  FROM jobs
 WHERE id = $1
   AND outputs IS NOT NULL
   AND state NOT IN ('terminated', 'purged');
