-- Give a queued job its GPUs and move it on, all or nothing. When one of the GPUs is held by
-- another, the table's constraint refuses the statement and nothing has happened.
-- $1 job  $2 attempt  $3 GPUs  $4 type of the fact  $5 the fact
WITH moved AS (
    UPDATE jobs
       SET state = 'starting', reason = '', changed_at = now()
     WHERE id = $1
       AND attempt = $2
       AND state = 'queued'
    RETURNING id, attempt, project
), held AS (
    INSERT INTO allocations (gpu, job, attempt)
    SELECT unnest($3::text[]), moved.id, moved.attempt FROM moved
)
INSERT INTO events (type, project, source, subject, data)
SELECT $4, moved.project, '/' || projects.owner || '/' || projects.name, moved.id, $5::jsonb
  FROM moved
  JOIN projects ON projects.seq = moved.project
RETURNING seq;
