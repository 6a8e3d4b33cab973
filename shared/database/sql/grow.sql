-- Let a job run more copies than it may now, and give it GPUs for those, all or nothing. No GPUs are
-- given for copies whose GPUs it has not given back yet.
-- $1 job  $2 attempt  $3 copies that it may run now  $4 ... and from now on
-- $5 GPUs, copy by copy  $6 type of the fact  $7 the fact  $8 epoch (null: whoever acts)
WITH grown AS (
    UPDATE jobs
       SET granted = $4,
           grants = grants + 1,
           held = CASE WHEN gpu_count > 0 THEN greatest(held, $4) ELSE 0 END
     WHERE id = $1
       AND attempt = $2
       AND state IN ('starting', 'running')
       AND granted = $3
       AND copies >= $4
       -- what it was to give back may have been taken from it a moment ago
       AND (gpu_count = 0 OR CASE WHEN cardinality($5::text[]) > 0 THEN held = $3 ELSE held >= $4 END)
       AND NOT EXISTS ( -- one that may not be given any more
           SELECT
             FROM unnest($5::text[]) AS wanted (gpu)
             LEFT JOIN gpus ON gpus.id = wanted.gpu
            WHERE gpus.id IS NULL OR NOT gpus.present OR gpus.unproven OR gpus.quarantine <> ''
           )
       AND ($8::bigint IS NULL -- else only while nobody newer acts for its target
            OR EXISTS (SELECT FROM leaders
                        WHERE leaders.target = jobs.target AND leaders.epoch = $8 FOR SHARE))
    RETURNING id, attempt, project, gpu_count
), held AS (
    INSERT INTO allocations (gpu, job, attempt, copy, price)
    SELECT given.gpu, grown.id, grown.attempt, $3 + (given.n - 1) / greatest(grown.gpu_count, 1),
           coalesce(gpus.price, 0)
      FROM grown, unnest($5::text[]) WITH ORDINALITY AS given (gpu, n)
      LEFT JOIN gpus ON gpus.id = given.gpu
)
INSERT INTO events (type, project, source, subject, data)
SELECT $6, grown.project, '/' || projects.owner || '/' || projects.name, grown.id, $7::jsonb
  FROM grown
  JOIN projects ON projects.seq = grown.project
RETURNING seq;
