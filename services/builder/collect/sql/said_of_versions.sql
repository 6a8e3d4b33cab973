-- All that versions say, in which the digests of what they refer to are: but for those of endpoints of
-- their own whose jobs are all terminated or purged, since nothing is ever made of such a version again.
-- $1 after this seq  $2 how many
SELECT seq, definition::text || images::text || record::text AS said
  FROM versions
 WHERE seq > $1
   AND NOT (deployment IS NULL
            AND coalesce((SELECT bool_and(jobs.state IN ('terminated', 'purged'))
                            FROM jobs
                           WHERE jobs.version = versions.id), false))
 ORDER BY seq
 LIMIT $2;
