-- An owner's tokens, newest first, without their hashes.
-- $1 owner  $2 before this seq (null: from the newest)  $3 how many
SELECT seq, id, owner, role, note, created_at, expires_at, revoked_at
  FROM tokens
 WHERE owner = $1
   AND ($2::bigint IS NULL OR seq < $2)
 ORDER BY seq DESC
 LIMIT $3;
