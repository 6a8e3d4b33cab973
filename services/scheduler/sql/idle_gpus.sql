-- The GPUs that nobody holds now, among those whose machine says how they are, and whether they are
-- yet to be proven free: then nobody can be given them before that.
-- $1 target
SELECT id, unproven
  FROM gpus
 WHERE target = $1
   AND checked
   AND NOT EXISTS (SELECT FROM allocations
                    WHERE allocations.gpu = gpus.id AND allocations.released_at IS NULL)
 ORDER BY id;
