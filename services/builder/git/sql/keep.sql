-- Let a project use what was fetched for it, as it may use what it uploaded; again is using it.
-- $1 project  $2 digest  $3 size
INSERT INTO uploads (project, digest, size) VALUES ($1, $2, $3)
    ON CONFLICT (project, digest) DO UPDATE
   SET used_at = now();
