-- What owners hold of a target's GPUs, by type, and how many of their jobs wait for some.
-- $1 target  $2 owner (null: all)
WITH waiting AS (
    SELECT owner, count(*) AS waiting
      FROM jobs
     WHERE target = $1
       AND state = 'queued'
       AND gpu_count > 0
       AND ($2::text IS NULL OR owner = $2)
     GROUP BY owner
), held AS (
    SELECT owner, jsonb_object_agg(type, count ORDER BY type) AS held
      FROM (
           SELECT jobs.owner, gpus.type, count(*) AS count
             FROM gpus
             JOIN allocations ON allocations.gpu = gpus.id AND allocations.released_at IS NULL
             JOIN jobs ON jobs.id = allocations.job
            WHERE gpus.target = $1
              AND ($2::text IS NULL OR jobs.owner = $2)
            GROUP BY jobs.owner, gpus.type
           ) AS each
     GROUP BY owner
)
SELECT owner, coalesce(waiting.waiting, 0) AS waiting, coalesce(held.held, '{}') AS held,
       coalesce(allowances.weight, 1) AS weight
  FROM waiting
  FULL JOIN held USING (owner)
  LEFT JOIN allowances USING (owner)
 ORDER BY owner;
