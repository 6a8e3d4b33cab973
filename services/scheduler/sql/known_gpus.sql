-- All GPUs that a target ever had. Locked, so that two who merge do not announce twice.
-- $1 target
SELECT id, type, device, memory, node, present, price, checked, unproven, quarantine,
       coalesce(extract(epoch FROM clock_timestamp() - quarantined_at), 0)::float8 AS quarantined_for,
       EXISTS (SELECT FROM allocations
                WHERE allocations.gpu = gpus.id AND allocations.released_at IS NULL) AS held
  FROM gpus
 WHERE target = $1
 ORDER BY id
   FOR NO KEY UPDATE; -- they may be given meanwhile
