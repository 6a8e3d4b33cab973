-- Point an alias at a version, for every reader at once. The caller holds the deployment.
-- $1 deployment  $2 alias  $3 version  $4 by whom
WITH moved AS (
    INSERT INTO aliases (deployment, name, version)
    VALUES ($1, $2, $3)
        ON CONFLICT (deployment, name)
        DO UPDATE SET version = excluded.version,
                      revision = aliases.revision + 1,
                      changed_at = now()
    RETURNING deployment, name, version, revision
)
INSERT INTO alias_moves (deployment, name, revision, version, moved_by)
SELECT deployment, name, revision, version, $4 FROM moved
RETURNING revision;
