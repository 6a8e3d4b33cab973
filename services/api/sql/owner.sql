-- $1 name
SELECT name, created_at FROM owners WHERE name = $1;
