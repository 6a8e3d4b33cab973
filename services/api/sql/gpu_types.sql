-- What targets have: each type of GPU, how many, how many nobody holds, the price of one, and how many
-- one machine has at most.
-- $1 target (null: all)  $2 whether each target is told by itself
SELECT CASE WHEN $2::boolean THEN target ELSE '' END AS target,
       type, sum(total)::bigint AS total, sum(free)::bigint AS free,
       min(price) AS price_per_hour, max(total) AS together
  FROM (
       SELECT gpus.target, gpus.node, gpus.type, count(*) AS total, min(gpus.price) AS price,
              count(*) FILTER (WHERE NOT EXISTS (
                  SELECT FROM allocations
                   WHERE allocations.gpu = gpus.id AND released_at IS NULL
              )) AS free
         FROM gpus
        WHERE gpus.present
          AND ($1::text IS NULL OR gpus.target = $1)
        GROUP BY gpus.target, gpus.node, gpus.type
       ) AS machines
 GROUP BY 1, type
 ORDER BY 1, type;
