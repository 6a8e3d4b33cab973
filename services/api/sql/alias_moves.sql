-- Where an alias pointed, newest first.
-- $1 deployment  $2 alias
SELECT alias_moves.revision, alias_moves.version AS version_id, versions.name AS version,
       alias_moves.moved_by, alias_moves.moved_at
  FROM alias_moves
  JOIN versions ON versions.id = alias_moves.version
 WHERE alias_moves.deployment = $1
   AND alias_moves.name = $2
 ORDER BY alias_moves.revision DESC
 LIMIT 100;
