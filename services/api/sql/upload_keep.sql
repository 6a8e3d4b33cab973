-- Give a project the right to a blob; again is using it.
-- $1 project  $2 digest  $3 size
INSERT INTO uploads (project, digest, size) VALUES ($1, $2, $3)
    ON CONFLICT (project, digest) DO UPDATE
   SET used_at = now();
