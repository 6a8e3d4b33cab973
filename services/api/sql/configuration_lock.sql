-- Hold a configuration until the transaction ends.
-- $1 project  $2 name
SELECT body, written FROM configurations WHERE project = $1 AND name = $2 FOR UPDATE;
