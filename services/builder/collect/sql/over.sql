-- Images and records of versions that are over: of endpoints of their own whose jobs were all terminated
-- or purged, the last of them in these days. After more of them the cache has forgotten them anyway.
-- $1 after this seq  $2 how many  $3 days
SELECT seq, images, record
  FROM versions
 WHERE seq > $1
   AND deployment IS NULL
   AND (SELECT bool_and(jobs.state IN ('terminated', 'purged'))
               AND max(jobs.changed_at) > now() - make_interval(secs => $3 * 86400)
          FROM jobs
         WHERE jobs.version = versions.id)
 ORDER BY seq
 LIMIT $2;
