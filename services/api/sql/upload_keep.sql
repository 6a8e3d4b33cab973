-- Give a project the right to a blob; again changes nothing.
-- $1 project  $2 digest  $3 size
INSERT INTO uploads (project, digest, size) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;
