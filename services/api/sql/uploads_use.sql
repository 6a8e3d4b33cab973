-- Which of some blobs a project uploaded, noting that they are used so that they are not forgotten.
-- Those that were noted within the hour are left alone: the builders forget none before a day is over.
-- $1 project  $2 digests
WITH stale AS MATERIALIZED (
    SELECT digest
      FROM uploads
     WHERE project = $1
       AND digest = ANY ($2::text[])
       AND used_at < now() - interval '1 hour'
), noted AS (
    UPDATE uploads
       SET used_at = now()
     WHERE project = $1
       AND digest IN (
        SELECT digest
          FROM uploads
         WHERE project = $1
           AND digest IN (SELECT digest FROM stale)
         ORDER BY digest
           FOR UPDATE
     )
    RETURNING digest
)
SELECT digest
  FROM uploads
 WHERE project = $1
   AND digest = ANY ($2::text[])
   AND digest NOT IN (SELECT digest FROM stale)
 UNION ALL
SELECT digest FROM noted;
