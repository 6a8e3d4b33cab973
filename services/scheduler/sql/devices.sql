-- What CUDA calls the GPUs that one attempt of a job holds.
-- $1 job  $2 attempt
SELECT gpus.device
  FROM allocations
  JOIN gpus ON gpus.id = allocations.gpu
 WHERE allocations.job = $1
   AND allocations.attempt = $2
   AND allocations.released_at IS NULL
 ORDER BY length(gpus.id), gpus.id;
