-- How a try of a batch job ended. Belongs into the transaction that moved the job for it.
-- $1 job  $2 exit code (null: it had none)  $3 digest of what it left (null: nothing)  $4 its size
-- $5 how many tries that spent
UPDATE jobs
   SET exit_code = $2,
       outputs = $3,
       outputs_size = $4,
       retries = retries - $5
 WHERE id = $1;
