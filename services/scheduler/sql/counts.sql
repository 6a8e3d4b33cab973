-- How many jobs wait in a target's queue, by owner and class.
-- $1 target
SELECT owner, priority, count(*) AS jobs, count(*) FILTER (WHERE gpu_count > 0) AS wanting
  FROM jobs
 WHERE target = $1
   AND state = 'queued'
 GROUP BY owner, priority;
