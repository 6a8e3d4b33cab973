-- Bytes of all that a project uploaded.
-- $1 project
SELECT coalesce(sum(size), 0)::bigint FROM uploads WHERE project = $1;
