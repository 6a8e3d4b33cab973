-- $1 name. No row when it exists.
INSERT INTO owners (name) VALUES ($1) ON CONFLICT DO NOTHING RETURNING name, created_at;
