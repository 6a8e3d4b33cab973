-- The GPU types that jobs in the queue of a target wait for, one row a job (empty: any type).
-- $1 target
SELECT gpu_types FROM jobs WHERE target = $1 AND state = 'queued' AND gpu_count > 0 LIMIT 1000;
