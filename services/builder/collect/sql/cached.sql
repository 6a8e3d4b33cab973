-- The blobs that the cache has and that no build has used since then.
-- $1 when
SELECT digest FROM layers WHERE used_at < $1;
