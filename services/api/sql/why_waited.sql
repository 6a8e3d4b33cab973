-- How long those waited that were given GPUs in the last day, and how long ago that was, the latest
-- first; of jobs that could have had one of these types.
-- $1 target  $2 GPU types (empty: any)  $3 how many are looked at
SELECT extract(epoch FROM placed_at - queued_at)::float8 AS waited,
       extract(epoch FROM clock_timestamp() - placed_at)::float8 AS ago
  FROM (
       SELECT placed_at, queued_at, gpu_types
         FROM jobs
        WHERE target = $1
          AND gpu_count > 0
          AND placed_at > clock_timestamp() - interval '1 day'
        ORDER BY placed_at DESC
        LIMIT $3
       ) AS late
 WHERE placed_at >= queued_at
   AND ($2::text[] = '{}' OR gpu_types = '{}' OR gpu_types && $2::text[])
 ORDER BY ago;
