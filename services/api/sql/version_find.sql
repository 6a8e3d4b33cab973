-- A version by its name or by an alias's.
-- $1 deployment  $2 name or alias
SELECT id FROM versions WHERE deployment = $1 AND name = $2
 UNION ALL
SELECT version FROM aliases WHERE deployment = $1 AND name = $2
 LIMIT 1;
