-- Forget what the cache has in these blobs, unless a build has used it since then; how many.
-- $1 digests  $2 when
WITH gone AS (
    DELETE FROM layers
     WHERE digest = ANY ($1::text[])
       AND used_at < $2
    RETURNING 1
)
SELECT count(*) FROM gone;
