-- $1 deployment  $2 alias (null: all)
SELECT aliases.name, aliases.version AS version_id, versions.name AS version, aliases.revision,
       aliases.changed_at
  FROM aliases
  JOIN versions ON versions.id = aliases.version
 WHERE aliases.deployment = $1
   AND ($2::text IS NULL OR aliases.name = $2)
 ORDER BY aliases.name
 LIMIT 1000;
