-- Owners, and a project of each.
-- $1 names
WITH made AS (
    INSERT INTO owners (name) SELECT unnest($1::text[]) RETURNING name
)
INSERT INTO projects (owner, name) SELECT name, 'p' FROM made;
