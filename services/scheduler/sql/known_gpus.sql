-- All GPUs that a target ever had. Locked, so that two who merge do not announce twice.
-- $1 target
SELECT id, type, device, memory, node, present, price FROM gpus WHERE target = $1 ORDER BY id FOR UPDATE;
