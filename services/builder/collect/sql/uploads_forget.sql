-- Forget uploads that no version of their project refers to and that nobody has used since then;
-- how many. What a version of an endpoint of its own says counts for nothing once its jobs are all
-- terminated or purged. One that is used at the same time is used, since it is looked at again.
-- $1 when
WITH referred AS (
    SELECT DISTINCT project, (regexp_matches(definition::text, 'sha256:[0-9a-f]{64}', 'g'))[1] AS digest
      FROM versions
     WHERE project IN (SELECT project FROM uploads WHERE used_at < $1)
       AND NOT (deployment IS NULL
                AND coalesce((SELECT bool_and(jobs.state IN ('terminated', 'purged'))
                                FROM jobs
                               WHERE jobs.version = versions.id), false))
), gone AS (
    DELETE FROM uploads
     WHERE used_at < $1
       AND NOT EXISTS (
           SELECT FROM referred
            WHERE referred.project = uploads.project
              AND referred.digest = uploads.digest
       )
    RETURNING 1
)
SELECT count(*) FROM gone;
