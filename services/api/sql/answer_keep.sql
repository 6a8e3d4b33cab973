-- Belongs into the transaction of the change that is answered, as its last statement. It waits for
-- whoever writes another answer under the same key; no row when there is one.
-- $1 owner  $2 key  $3 hash of the request  $4 status  $5 body
INSERT INTO answers (owner, key, request, status, body)
VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
RETURNING status;
