-- End what an attempt holds for copies that it may not run any more, and announce each GPU. Called
-- when no more copies run than it may, never before. It does nothing when that number was set anew
-- since: then copies may have been let run again, and been told to end again.
-- $1 job  $2 attempt  $3 copies that it may run  $4 how often that was set  $5 type of the fact
-- $6 epoch (null: whoever acts)
WITH shrunk AS (
    UPDATE jobs
       SET held = $3
     WHERE id = $1
       AND attempt = $2
       AND state IN ('starting', 'running')
       AND granted = $3
       AND grants = $4
       AND held > $3
       AND ($6::bigint IS NULL -- else only while nobody newer acts for its target
            OR EXISTS (SELECT FROM leaders
                        WHERE leaders.target = jobs.target AND leaders.epoch = $6 FOR SHARE))
    RETURNING id, project
), freed AS (
    UPDATE allocations
       SET released_at = greatest(held_at, clock_timestamp()) -- clocks jump
      FROM shrunk
     WHERE allocations.job = shrunk.id
       AND allocations.attempt = $2
       AND allocations.copy >= $3
       AND allocations.released_at IS NULL
    RETURNING allocations.gpu, allocations.job, allocations.attempt, shrunk.project
)
INSERT INTO events (type, project, source, subject, data)
SELECT $5, freed.project, '/' || projects.owner || '/' || projects.name, freed.gpu,
       jsonb_build_object('gpu', freed.gpu, 'job', freed.job, 'attempt', freed.attempt)
  FROM freed
  JOIN projects ON projects.seq = freed.project
RETURNING seq;
