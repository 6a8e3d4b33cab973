-- Write a job down, with a version of its own whose image is there.
-- $1 job  $2 owner  $3 definition  $4 images  $5 GPU types  $6 GPUs  $7 copies  $8 whether all at once
-- $9 priority  $10 preemptible  $11 highest price  $12 run limit  $13 seconds in which it has to start
WITH made AS (
    INSERT INTO versions (id, project, name, state, definition, images)
    SELECT 'v' || $1::text, seq, $1, 'ready', $3::jsonb, $4::jsonb
      FROM projects
     WHERE owner = $2
    RETURNING id, project
)
INSERT INTO jobs (id, project, name, version, endpoint, target, gpu_types, gpu_count, copies, gang,
                  priority, preemptible, max_price, run_at_most, start_by)
SELECT $1, project, $1, id, 'predict', 'process', $5, $6, $7, $8, $9, $10, $11, $12,
       now() + make_interval(secs => $13::float8)
  FROM made;
