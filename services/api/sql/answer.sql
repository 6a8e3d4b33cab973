-- The answer that was given to a request with this key.
-- $1 owner  $2 key
SELECT request, status, body FROM answers WHERE owner = $1 AND key = $2;
