-- Projects with versions that failed some time ago, or are of an endpoint of its own whose jobs were
-- all terminated or purged by then, and how many there are of these: it only grows.
-- $1 days
SELECT projects.seq, projects.owner || '/' || projects.name AS project, count(*) AS gone
  FROM versions
  JOIN projects ON projects.seq = versions.project
 WHERE (versions.state = 'failed' AND versions.changed_at < now() - make_interval(secs => $1 * 86400)
        OR versions.deployment IS NULL
           AND (SELECT bool_and(jobs.state IN ('terminated', 'purged')
                                AND jobs.changed_at < now() - make_interval(secs => $1 * 86400))
                  FROM jobs
                 WHERE jobs.version = versions.id))
 GROUP BY projects.seq
 ORDER BY projects.seq;
