-- $1 id  $2 project  $3 name  $4 target. No row when the name is taken.
INSERT INTO applications (id, project, name, target)
VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
RETURNING id;
