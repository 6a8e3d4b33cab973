-- Owners by name.
-- $1 only this one (null: all)  $2 after this name (null: from the first)  $3 how many
SELECT name, created_at
  FROM owners
 WHERE ($1::text IS NULL OR name = $1)
   AND ($2::text IS NULL OR name > $2)
 ORDER BY name
 LIMIT $3;
