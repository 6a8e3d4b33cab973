-- Write down when jobs of a target will be purged that were stopped or have finished, are of no
-- application, and have no date yet: some time after that, and never sooner after they were told of it
-- than is promised.
-- $1 target  $2 seconds until then  $3 seconds of notice  $4 how many
WITH resting AS (
    SELECT id,
           greatest(greatest(changed_at, used_at) + make_interval(secs => $2),
                    purge_told_at + make_interval(secs => $3)) AS purge_at
      FROM jobs
     WHERE target = $1
       AND state IN ('stopped', 'finished')
       AND application IS NULL
       AND purge_at IS NULL
     LIMIT $4
       FOR UPDATE SKIP LOCKED
)
UPDATE jobs
   SET purge_at = resting.purge_at
  FROM resting
 WHERE jobs.id = resting.id
RETURNING jobs.id;
