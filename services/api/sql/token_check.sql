-- Who a token speaks for, when it is neither revoked nor expired by the database's clock.
-- $1 hash
SELECT id AS token, owner, role,
       extract(epoch FROM expires_at - now())::double precision AS remaining
  FROM tokens
 WHERE hash = $1
   AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > now());
