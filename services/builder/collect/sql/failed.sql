-- Those of some versions that failed some time ago.
-- $1 project  $2 versions  $3 days
SELECT id
  FROM versions
 WHERE project = $1
   AND id = ANY ($2::text[])
   AND state = 'failed'
   AND changed_at < now() - make_interval(secs => $3 * 86400);
