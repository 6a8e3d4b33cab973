-- What a target has: each type of GPU, how many, how many nobody holds, the price of one.
-- $1 target (null: all)
SELECT gpus.type, count(*) AS total,
       count(*) FILTER (WHERE NOT EXISTS (
           SELECT FROM allocations WHERE allocations.gpu = gpus.id AND released_at IS NULL
       )) AS free,
       min(gpus.price) AS price_per_hour
  FROM gpus
 WHERE gpus.present
   AND ($1::text IS NULL OR gpus.target = $1)
 GROUP BY gpus.type
 ORDER BY gpus.type;
