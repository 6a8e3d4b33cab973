-- $1 project  $2 name
SELECT body FROM configurations WHERE project = $1 AND name = $2;
