-- $1 owner  $2 target  $3 GPU type
DELETE FROM quotas WHERE owner = $1 AND target = $2 AND gpu_type = $3 RETURNING owner;
