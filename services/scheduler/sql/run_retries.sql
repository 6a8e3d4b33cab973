-- How many more tries a batch job has, held until the transaction ends. No row when it moved on.
-- $1 job  $2 attempt
SELECT retries
  FROM jobs
 WHERE id = $1
   AND attempt = $2
   FOR UPDATE;
