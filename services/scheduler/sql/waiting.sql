-- Who waits on a target, oldest first: jobs in the queue that need no GPU, the first of those that
-- need some, and jobs that are to run more copies than they may.
-- $1 target  $2 how many that need none  $3 how many that need some
(
SELECT id AS job, attempt, 0 AS count, '{}'::text[] AS types, NULL::float8 AS max_price, copies,
       0 AS granted, 0 AS held, reason,
       extract(epoch FROM clock_timestamp() - queued_at)::float8 AS age, queued_at, seq
  FROM jobs
 WHERE target = $1
   AND state = 'queued'
   AND gpu_count = 0
 ORDER BY queued_at, seq
 LIMIT $2
)
UNION ALL
(
SELECT jobs.id, jobs.attempt, jobs.gpu_count, jobs.gpu_types,
       (SELECT (given -> 'gpus' ->> 'max_price')::float8
          FROM jsonb_array_elements(versions.definition -> 'endpoints') AS given
         WHERE given ->> 'name' = jobs.endpoint
         LIMIT 1),
       jobs.copies, 0, 0,
       jobs.reason, extract(epoch FROM clock_timestamp() - jobs.queued_at)::float8,
       jobs.queued_at, jobs.seq
  FROM jobs
  JOIN versions ON versions.id = jobs.version
 WHERE jobs.target = $1
   AND jobs.state = 'queued'
   AND jobs.gpu_count > 0
 ORDER BY jobs.queued_at, jobs.seq
 LIMIT $3
)
UNION ALL
(
-- one who is asked for more copies queues behind those who came before that
SELECT jobs.id, jobs.attempt, jobs.gpu_count,
       -- all of its copies have GPUs of one type
       CASE WHEN holding.type IS NULL THEN jobs.gpu_types ELSE ARRAY[holding.type] END,
       (SELECT (given -> 'gpus' ->> 'max_price')::float8
          FROM jsonb_array_elements(versions.definition -> 'endpoints') AS given
         WHERE given ->> 'name' = jobs.endpoint
         LIMIT 1),
       jobs.copies, jobs.granted, jobs.held,
       jobs.reason,
       extract(epoch FROM clock_timestamp() - greatest(jobs.queued_at, jobs.scaled_at))::float8,
       greatest(jobs.queued_at, jobs.scaled_at), jobs.seq
  FROM jobs
  JOIN versions ON versions.id = jobs.version
  LEFT JOIN LATERAL (
       SELECT max(gpus.type) AS type
         FROM allocations
         JOIN gpus ON gpus.id = allocations.gpu
        WHERE allocations.job = jobs.id
          AND allocations.attempt = jobs.attempt
          AND allocations.released_at IS NULL
       ) AS holding ON true
 WHERE jobs.target = $1
   AND jobs.state IN ('starting', 'running')
   AND jobs.copies > jobs.granted
 ORDER BY greatest(jobs.queued_at, jobs.scaled_at), jobs.seq
 LIMIT $3
)
 ORDER BY queued_at, seq;
