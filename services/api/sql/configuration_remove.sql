-- $1 project  $2 name
DELETE FROM configurations WHERE project = $1 AND name = $2 RETURNING name;
