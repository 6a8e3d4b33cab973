-- Who holds GPUs of a target. Of a job of which two attempts do, the present one comes last.
-- $1 target  $2 seconds after which one that is ending is stuck
SELECT holding.job, holding.attempt, jobs.owner, jobs.priority, jobs.preemptible,
       coalesce(extract(epoch FROM clock_timestamp() - jobs.placed_at), 0)::float8 AS age,
       (jobs.run_at_most - extract(epoch FROM clock_timestamp() - jobs.placed_at))::float8 AS ends_in,
       extract(epoch FROM jobs.give_way_at - clock_timestamp())::float8 AS gives_way_in,
       (jobs.attempt <> holding.attempt OR jobs.state NOT IN ('starting', 'running')) AS ending,
       (jobs.attempt <> holding.attempt OR jobs.state NOT IN ('starting', 'running'))
       AND jobs.changed_at < clock_timestamp() - make_interval(secs => $2) AS stuck
  FROM (
       SELECT DISTINCT allocations.job, allocations.attempt
         FROM allocations
         JOIN gpus ON gpus.id = allocations.gpu
        WHERE gpus.target = $1
          AND allocations.released_at IS NULL
       ) AS holding
  JOIN jobs ON jobs.id = holding.job
 ORDER BY holding.job, holding.attempt;
