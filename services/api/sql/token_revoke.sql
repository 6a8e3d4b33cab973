-- Revoke a token; one that is revoked already keeps its time.
-- $1 owner  $2 id
UPDATE tokens
   SET revoked_at = coalesce(revoked_at, now())
 WHERE owner = $1
   AND id = $2
RETURNING id;
