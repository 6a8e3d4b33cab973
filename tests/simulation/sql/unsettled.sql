-- What is on its way: jobs that begin or end, GPUs that are held for nobody who runs, and jobs that
-- wait and do not know for what.
SELECT id || ' is ' || state AS what
  FROM jobs
 WHERE state IN ('submitted', 'building', 'starting', 'stopping')
    OR (state = 'queued' AND (gpu_count = 0 OR reason = ''))
UNION ALL
SELECT id || ' has to end or to give way' AS what
  FROM jobs
 WHERE (state = 'running' AND (run_at_most IS NOT NULL OR give_way_at IS NOT NULL))
    OR (state = 'queued' AND start_by IS NOT NULL AND placed_at IS NULL)
UNION ALL
SELECT id || ' holds GPUs for more copies than it may run' AS what
  FROM jobs
 WHERE state = 'running'
   AND held > granted
UNION ALL
SELECT allocations.gpu || ' is held by ' || jobs.id || ', which is ' || jobs.state
  FROM allocations
  JOIN jobs ON jobs.id = allocations.job
 WHERE allocations.released_at IS NULL
   AND (jobs.state <> 'running' OR jobs.attempt <> allocations.attempt)
 ORDER BY what;
