-- Give queued jobs GPUs, each for so many copies, and move them on: each job wholly or not at all. A
-- job is passed over when one of its GPUs is held, or may not be given any more; when another gives
-- one away at this very moment, the table's constraint refuses the statement and nothing has happened.
-- $1 the facts: job, attempt, copies, and GPUs copy by copy  $2 their type  $3 epoch (null: none)
WITH given AS (
    SELECT value AS fact, value ->> 'job' AS job, (value ->> 'attempt')::integer AS attempt,
           (value ->> 'copies')::integer AS copies
      FROM jsonb_array_elements($1::jsonb)
), moved AS (
    UPDATE jobs
       SET state = 'starting', granted = given.copies, grants = grants + 1,
           held = CASE WHEN gpu_count > 0 THEN given.copies ELSE 0 END,
           reason = '', exit_code = NULL, waits = '{}', placed_at = now(), end_told_at = NULL,
           changed_at = now()
      FROM given
     WHERE jobs.id = given.job
       AND jobs.attempt = given.attempt
       AND jobs.state = 'queued'
       AND jobs.copies >= given.copies -- else its owner has just asked for fewer
       AND NOT EXISTS (
           SELECT
             FROM jsonb_array_elements_text(given.fact -> 'gpus') AS wanted (gpu)
             LEFT JOIN gpus ON gpus.id = wanted.gpu
             LEFT JOIN allocations ON allocations.gpu = gpus.id AND allocations.released_at IS NULL
            WHERE allocations.gpu IS NOT NULL
               OR gpus.id IS NULL OR NOT gpus.present OR gpus.unproven OR gpus.quarantine <> ''
           )
       AND ($3::bigint IS NULL -- else only while nobody newer acts for its target
            OR EXISTS (SELECT FROM leaders
                        WHERE leaders.target = jobs.target AND leaders.epoch = $3 FOR SHARE))
    RETURNING jobs.id, jobs.attempt, jobs.project, jobs.gpu_count, given.fact
), held AS (
    INSERT INTO allocations (gpu, job, attempt, copy, price)
    SELECT given.gpu, moved.id, moved.attempt, (given.n - 1) / greatest(moved.gpu_count, 1),
           coalesce(gpus.price, 0)
      FROM moved
     CROSS JOIN jsonb_array_elements_text(moved.fact -> 'gpus') WITH ORDINALITY AS given (gpu, n)
      LEFT JOIN gpus ON gpus.id = given.gpu
)
INSERT INTO events (type, project, source, subject, data)
SELECT $2, moved.project, '/' || projects.owner || '/' || projects.name, moved.id, moved.fact
  FROM moved
  JOIN projects ON projects.seq = moved.project
RETURNING subject;
