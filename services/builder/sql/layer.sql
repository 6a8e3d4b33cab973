-- A layer that was built before.
-- $1 key
SELECT digest, size FROM layers WHERE key = $1;
