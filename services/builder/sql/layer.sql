-- A layer that was built before. One that was not used for an hour is to be used with
-- layer_use.sql, or it may be forgotten any moment.
-- $1 key
SELECT digest, size, used_at < now() - interval '1 hour' AS stale FROM layers WHERE key = $1;
