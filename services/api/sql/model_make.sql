-- Make a model if there is none of that name.
-- $1 id  $2 project  $3 name  $4 target
INSERT INTO deployments (id, project, kind, name, target)
VALUES ($1, $2, 'model', $3, $4)
    ON CONFLICT DO NOTHING;
