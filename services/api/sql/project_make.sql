-- $1 owner  $2 name. No row when it exists or when there is no such owner.
INSERT INTO projects (owner, name)
SELECT owners.name, $2 FROM owners WHERE owners.name = $1
    ON CONFLICT DO NOTHING
RETURNING seq, owner, name, created_at;
