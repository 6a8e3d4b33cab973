-- The jobs of a target that may have processes. `age` is by this server's clock alone.
-- $1 target
SELECT id AS job, attempt, state, restarts, addresses, granted, grants, held, reason,
       servable IS NOT NULL AS model, kind = 'batch' AS batch, (run ->> 'timeout')::float8 AS timeout,
       greatest(0, extract(epoch FROM clock_timestamp() - changed_at))::float8 AS age -- clocks jump
  FROM jobs
 WHERE target = $1
   AND state IN ('starting', 'running', 'stopping')
 ORDER BY seq;
