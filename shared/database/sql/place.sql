-- Give a queued job GPUs for so many copies and move it on, all or nothing. When one of the GPUs is
-- held by another, the table's constraint refuses the statement and nothing has happened.
-- $1 job  $2 attempt  $3 GPUs, copy by copy  $4 copies  $5 type of the fact  $6 the fact
WITH moved AS (
    UPDATE jobs
       SET state = 'starting', granted = $4, grants = grants + 1,
           held = CASE WHEN gpu_count > 0 THEN $4 ELSE 0 END,
           reason = '', waits = '{}', placed_at = now(), changed_at = now()
     WHERE id = $1
       AND attempt = $2
       AND state = 'queued'
       AND copies >= $4 -- else its owner has just asked for fewer
    RETURNING id, attempt, project, gpu_count
), held AS (
    INSERT INTO allocations (gpu, job, attempt, copy, price)
    SELECT given.gpu, moved.id, moved.attempt, (given.n - 1) / greatest(moved.gpu_count, 1),
           coalesce(gpus.price, 0)
      FROM moved, unnest($3::text[]) WITH ORDINALITY AS given (gpu, n)
      LEFT JOIN gpus ON gpus.id = given.gpu
)
INSERT INTO events (type, project, source, subject, data)
SELECT $5, moved.project, '/' || projects.owner || '/' || projects.name, moved.id, $6::jsonb
  FROM moved
  JOIN projects ON projects.seq = moved.project
RETURNING seq;
