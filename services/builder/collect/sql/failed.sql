-- Those of some versions that failed some time ago, or are of an endpoint of its own whose jobs were
-- all terminated or purged by then.
-- $1 project  $2 versions  $3 days
SELECT id
  FROM versions
 WHERE project = $1
   AND id = ANY ($2::text[])
   AND (state = 'failed' AND changed_at < now() - make_interval(secs => $3 * 86400)
        OR deployment IS NULL
           AND (SELECT bool_and(jobs.state IN ('terminated', 'purged')
                                AND jobs.changed_at < now() - make_interval(secs => $3 * 86400))
                  FROM jobs
                 WHERE jobs.version = versions.id));
