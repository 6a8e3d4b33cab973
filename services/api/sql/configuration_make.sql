-- $1 project  $2 name  $3 how servables run  $4 as it was written. No row when the name is taken.
INSERT INTO configurations (project, name, body, written)
VALUES ($1, $2, $3::jsonb, $4::jsonb)
    ON CONFLICT DO NOTHING
RETURNING name;
