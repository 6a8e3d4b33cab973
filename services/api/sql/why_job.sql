-- A job, with all that says why it is as it is; times in seconds.
-- $1 job  $2 its owner (null: any)
SELECT jobs.seq, jobs.id AS job, jobs.name, jobs.owner, jobs.kind, jobs.state, jobs.reason,
       jobs.waits, jobs.attempt, jobs.restarts, jobs.target, jobs.copies, jobs.granted,
       cardinality(jobs.addresses) AS running, jobs.gpu_types AS types, jobs.gpu_count AS count,
       jobs.max_price, jobs.priority, jobs.preemptible, jobs.run_at_most, jobs.exit_code,
       jobs.changed_at AS since,
       jobs.placed_at > jobs.queued_at AS gave_way,
       extract(epoch FROM clock_timestamp() - jobs.queued_at)::float8 AS waited,
       extract(epoch FROM jobs.start_by - clock_timestamp())::float8 AS start_in,
       extract(epoch FROM jobs.give_way_at - clock_timestamp())::float8 AS gives_way_in,
       extract(epoch FROM clock_timestamp() - jobs.placed_at)::float8 AS placed,
       extract(epoch FROM jobs.changed_at - jobs.placed_at)::float8 AS lived,
       jobs.version, versions.state AS version_state, versions.reason AS version_reason,
       coalesce(versions.lease_until > now(), false) AS built,
       EXISTS (
           SELECT FROM pg_locks
            WHERE locktype = 'advisory'
              AND granted
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND (classid::bigint << 32) | objid::bigint
                  = hashtextextended('slipway scheduler ' || jobs.target, 0)
       ) AS scheduled
  FROM jobs
  JOIN versions ON versions.id = jobs.version
 WHERE jobs.id = $1
   AND ($2::text IS NULL OR jobs.owner = $2);
