-- What a lone endpoint stands on: how high its owner's jobs may be, whether its code is the project's,
-- whether that has to be noted as used again, where it was fetched from last, and what time it is.
-- $1 project  $2 owner  $3 digest of the code
SELECT now() AS at,
       (SELECT highest FROM allowances WHERE owner = $2) AS highest,
       uploads.digest IS NOT NULL AS there,
       coalesce(uploads.used_at < now() - interval '1 hour', true) AS stale,
       origin.*
  FROM (VALUES ($3::text)) AS code (digest)
  LEFT JOIN uploads ON uploads.project = $1 AND uploads.digest = code.digest
  LEFT JOIN LATERAL (
       SELECT url, ref, commit
         FROM sources
        WHERE sources.project = $1
          AND sources.digest = code.digest
          AND state = 'ready'
        ORDER BY seq DESC
        LIMIT 1
       ) AS origin ON true;
