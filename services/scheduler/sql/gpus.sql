-- The GPUs of a target that may be given, will be once their memory is proven free, or are held; each
-- with its holder.
-- $1 target
SELECT gpus.id, gpus.type, gpus.device, gpus.node, gpus.price, gpus.present, gpus.unproven,
       allocations.job, allocations.attempt
  FROM gpus
  LEFT JOIN allocations ON allocations.gpu = gpus.id AND allocations.released_at IS NULL
 WHERE gpus.target = $1
   AND (gpus.present AND gpus.quarantine = '' OR allocations.job IS NOT NULL)
 ORDER BY gpus.type, length(gpus.id), gpus.id;
