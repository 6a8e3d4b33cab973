-- Write down when jobs of a target will be purged that were stopped or have finished, and are of no
-- application: some time after that, and never sooner after they were told of it than is promised.
-- $1 target  $2 seconds until then (null: never)  $3 seconds of notice
-- $4 whether those that have a date are looked at, too  $5 how many
WITH resting AS (
    SELECT id,
           CASE WHEN $2::float8 IS NOT NULL
                THEN greatest(greatest(changed_at, used_at) + make_interval(secs => $2::float8),
                              purge_told_at + make_interval(secs => $3))
           END AS purge_at
      FROM jobs
     WHERE target = $1
       AND state IN ('stopped', 'finished')
       AND application IS NULL
       AND ($4::boolean OR purge_at IS NULL)
), dated AS (
    SELECT jobs.id, resting.purge_at
      FROM resting
      JOIN jobs USING (id)
     WHERE jobs.purge_at IS DISTINCT FROM resting.purge_at
     LIMIT $5
       FOR UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs
   SET purge_at = dated.purge_at,
       purge_told_at = CASE WHEN dated.purge_at IS NOT NULL THEN purge_told_at END
  FROM dated
 WHERE jobs.id = dated.id
RETURNING jobs.id;
