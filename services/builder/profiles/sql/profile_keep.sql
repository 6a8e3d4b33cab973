-- Keep what is known of a field of a version.
-- $1 version  $2 field  $3 source  $4 hour  $5 sketch  $6 summary
INSERT INTO profiles (version, field, source, hour, sketch, summary)
VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (version, field, source, hour) DO UPDATE
   SET sketch = excluded.sketch, summary = excluded.summary, changed_at = now();
