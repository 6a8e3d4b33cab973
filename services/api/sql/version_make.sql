-- $1 id  $2 project  $3 deployment (null: a lone endpoint's)  $4 name  $5 definition
INSERT INTO versions (id, project, deployment, name, definition)
VALUES ($1, $2, $3, $4, $5::jsonb);
