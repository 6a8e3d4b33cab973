-- Who holds one of these GPUs and has not ended, one row for each; and how often it may be tried again.
-- $1 GPUs
SELECT DISTINCT ON (jobs.id) jobs.id AS job, jobs.attempt, allocations.gpu,
       CASE WHEN jobs.run IS NULL THEN 0 ELSE jobs.retries END AS retries
  FROM allocations
  JOIN jobs ON jobs.id = allocations.job AND jobs.attempt = allocations.attempt
 WHERE allocations.gpu = ANY ($1::text[])
   AND allocations.released_at IS NULL
   AND jobs.state IN ('starting', 'running')
 ORDER BY jobs.id, allocations.gpu;
