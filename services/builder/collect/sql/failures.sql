-- Projects with versions that failed some time ago, and the last of these.
-- $1 days
SELECT projects.seq, projects.owner || '/' || projects.name AS project, max(versions.seq) AS last
  FROM versions
  JOIN projects ON projects.seq = versions.project
 WHERE versions.state = 'failed'
   AND versions.changed_at < now() - make_interval(secs => $1 * 86400)
 GROUP BY projects.seq
 ORDER BY projects.seq;
