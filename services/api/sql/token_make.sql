-- $1 id  $2 owner  $3 role  $4 hash  $5 note  $6 expires at
INSERT INTO tokens (id, owner, role, hash, note, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, owner, role, note, created_at, expires_at, revoked_at;
