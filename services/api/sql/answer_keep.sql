-- Belongs into the transaction of the change that is answered.
-- $1 owner  $2 key  $3 hash of the request  $4 status  $5 body
INSERT INTO answers (owner, key, request, status, body) VALUES ($1, $2, $3, $4, $5);
