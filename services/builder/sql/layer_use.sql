-- Keep a layer from being forgotten. No row: it has been.
-- $1 key
UPDATE layers SET used_at = now() WHERE key = $1 RETURNING digest, size;
