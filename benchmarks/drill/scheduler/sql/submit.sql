-- Write jobs down, of a few owners, classes and sizes, that all run one version's image.
-- $1 how many  $2 definition  $3 images  $4 GPUs that one may want
WITH owner AS (
    INSERT INTO owners (name) SELECT 'owner-' || n FROM generate_series(0, 4) AS n RETURNING name
), project AS (
    INSERT INTO projects (owner, name) SELECT name, 'p' FROM owner RETURNING seq, owner
), version AS (
    INSERT INTO versions (id, project, name, state, definition, images)
    SELECT 'v-' || owner, seq, 'v', 'ready', $2::jsonb, $3::jsonb FROM project
    RETURNING id, project
)
INSERT INTO jobs (id, project, name, version, endpoint, target, gpu_types, gpu_count, priority,
                  preemptible)
SELECT 'j' || n, version.project, 'j' || n, version.id, 'predict', 'process', '{}',
       ($4::integer[])[1 + n % cardinality($4::integer[])], (n % 3 - 1) * 100, n % 4 = 0
  FROM generate_series(1, $1::integer) AS n
  JOIN version ON version.id = 'v-owner-' || n % 5
RETURNING id;
