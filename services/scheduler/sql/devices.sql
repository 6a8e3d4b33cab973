-- What the driver calls each GPU that one attempt of a job holds for the copies that may run, copy by
-- copy.
-- $1 job  $2 attempt  $3 how many copies
SELECT gpus.device
  FROM allocations
  JOIN gpus ON gpus.id = allocations.gpu
 WHERE allocations.job = $1
   AND allocations.attempt = $2
   AND allocations.copy < $3
   AND allocations.released_at IS NULL
 ORDER BY allocations.copy, length(gpus.id), gpus.id;
