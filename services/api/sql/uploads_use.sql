-- Note that uploads of a project are used, so that they are not forgotten. Those that were noted
-- within the hour are left alone: the builders forget none before a day is over.
-- $1 project  $2 digests
UPDATE uploads
   SET used_at = now()
 WHERE project = $1
   AND digest IN (
    SELECT digest
      FROM uploads
     WHERE project = $1
       AND digest = ANY ($2::text[])
       AND used_at < now() - interval '1 hour'
     ORDER BY digest
       FOR UPDATE
 );
