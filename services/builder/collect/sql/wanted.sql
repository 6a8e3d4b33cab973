-- Whether a version of the project has an image, or is being built and may come to have it. One of an
-- endpoint of its own whose jobs are all terminated or purged has no need of it.
-- $1 project  $2 digest
SELECT EXISTS (
    SELECT FROM versions
     WHERE project = $1
       AND (state = 'building'
            OR (state = 'ready'
                AND images::text LIKE '%' || $2::text || '%'
                AND NOT (deployment IS NULL
                         AND coalesce((SELECT bool_and(jobs.state IN ('terminated', 'purged'))
                                         FROM jobs
                                        WHERE jobs.version = versions.id), false))))
);
