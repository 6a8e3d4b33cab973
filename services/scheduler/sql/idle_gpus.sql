-- The GPUs that nobody holds now, among those whose machine says how they are.
-- $1 target
SELECT id
  FROM gpus
 WHERE target = $1
   AND checked
   AND NOT EXISTS (SELECT FROM allocations
                    WHERE allocations.gpu = gpus.id AND allocations.released_at IS NULL)
 ORDER BY id;
