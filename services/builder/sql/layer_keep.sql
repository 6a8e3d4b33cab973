-- Remember a layer. The first stays, so that the same inputs go on giving the same image; a layer
-- whose blob is gone is replaced.
-- $1 key  $2 digest  $3 size  $4 digest whose blob is gone, or null
INSERT INTO layers AS known (key, digest, size)
VALUES ($1, $2, $3)
    ON CONFLICT (key) DO UPDATE
   SET digest = CASE WHEN known.digest = $4 THEN excluded.digest ELSE known.digest END,
       size = CASE WHEN known.digest = $4 THEN excluded.size ELSE known.size END,
       used_at = now()
RETURNING digest, size;
