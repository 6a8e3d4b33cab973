-- Hold an owner until the transaction ends: what it may have is counted one request at a time.
-- $1 owner
SELECT name FROM owners WHERE name = $1 FOR NO KEY UPDATE;
