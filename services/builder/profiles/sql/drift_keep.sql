-- Write down how far a field is; whether it has just become too far, as a row.
-- $1 version  $2 field  $3 metric  $4 value  $5 threshold  $6 drifted  $7 rows of traffic
WITH before AS (
    SELECT drifted FROM drifts WHERE version = $1 AND field = $2 AND metric = $3
), kept AS (
    INSERT INTO drifts (version, field, metric, value, threshold, drifted, rows)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (version, field, metric) DO UPDATE
       SET value = excluded.value,
           threshold = excluded.threshold,
           rows = excluded.rows,
           since = CASE WHEN drifts.drifted = excluded.drifted THEN drifts.since ELSE now() END,
           drifted = excluded.drifted,
           changed_at = now()
    RETURNING drifted
)
SELECT projects.seq AS project, '/' || projects.owner || '/' || projects.name AS source,
       deployments.name AS model, versions.name
  FROM kept
  JOIN versions ON versions.id = $1
  JOIN projects ON projects.seq = versions.project
  JOIN deployments ON deployments.id = versions.deployment
 WHERE kept.drifted
   AND NOT coalesce((SELECT drifted FROM before), false);
