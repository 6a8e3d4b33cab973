-- $1 owner  $2 name
SELECT seq, owner, name, created_at FROM projects WHERE owner = $1 AND name = $2;
