-- The queue of a target, oldest first: what needs no GPU, and the first of those that need some.
-- $1 target  $2 how many that need none  $3 how many that need some
(
SELECT id AS job, attempt, 0 AS count, '{}'::text[] AS types, NULL::float8 AS max_price, reason,
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
 ORDER BY queued_at, seq;
