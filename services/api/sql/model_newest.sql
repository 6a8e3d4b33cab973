-- A model's newest versions, newest first.
-- $1 model  $2 how many
SELECT id, name, state, definition FROM versions WHERE deployment = $1 ORDER BY seq DESC LIMIT $2;
