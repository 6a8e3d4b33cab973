-- What targets have: each type of GPU, how many, how many anybody could have now, the price of one, how
-- many one machine has at most, and which of them are given to nobody, each with why.
-- $1 target (null: all)  $2 whether each target is told by itself
SELECT CASE WHEN $2::boolean THEN target ELSE '' END AS target,
       type, sum(total)::bigint AS total, sum(free)::bigint AS free,
       min(price) AS price_per_hour, max(total) AS together,
       string_to_array(coalesce(string_agg(quarantined, chr(10)), ''), chr(10)) AS quarantined
  FROM (
       SELECT gpus.target, gpus.node, gpus.type, count(*) AS total, min(gpus.price) AS price,
              count(*) FILTER (WHERE gpus.quarantine = '' AND NOT gpus.unproven AND NOT EXISTS (
                  SELECT FROM allocations
                   WHERE allocations.gpu = gpus.id AND released_at IS NULL
              )) AS free,
              string_agg(gpus.id || ': ' || gpus.quarantine, chr(10) ORDER BY gpus.id)
                  FILTER (WHERE gpus.quarantine <> '') AS quarantined
         FROM gpus
        WHERE gpus.present
          AND ($1::text IS NULL OR gpus.target = $1)
        GROUP BY gpus.target, gpus.node, gpus.type
       ) AS machines
 GROUP BY 1, type
 ORDER BY 1, type;
