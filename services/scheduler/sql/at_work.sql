-- The jobs of a target that may have processes. `age` is by this server's clock alone.
-- $1 target
SELECT id AS job, attempt, state, restarts, addresses, granted, reason,
       -- how many copies hold GPUs: more than may run, until those that were given up are gone
       coalesce((SELECT max(copy) + 1
                   FROM allocations
                  WHERE allocations.job = jobs.id
                    AND allocations.attempt = jobs.attempt
                    AND released_at IS NULL), 0) AS held,
       extract(epoch FROM clock_timestamp() - changed_at)::float8 AS age
  FROM jobs
 WHERE target = $1
   AND state IN ('starting', 'running', 'stopping')
 ORDER BY seq;
