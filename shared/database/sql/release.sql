-- End what one attempt of a job holds and announce each GPU. Called when its processes are proven
-- gone, never before. Repeating it releases nothing more.
-- $1 job  $2 attempt  $3 type of the fact  $4 epoch (null: whoever acts)
WITH freed AS (
    UPDATE allocations
       SET released_at = greatest(held_at, clock_timestamp()) -- clocks jump
      FROM jobs
     WHERE allocations.job = $1
       AND allocations.attempt = $2
       AND allocations.released_at IS NULL
       AND jobs.id = allocations.job
       AND ($4::bigint IS NULL -- else only while nobody newer acts for its target
            OR EXISTS (SELECT FROM leaders
                        WHERE leaders.target = jobs.target AND leaders.epoch = $4 FOR SHARE))
    RETURNING allocations.gpu, allocations.job, allocations.attempt
)
INSERT INTO events (type, project, source, subject, data)
SELECT $3, jobs.project, '/' || projects.owner || '/' || projects.name, freed.gpu,
       jsonb_build_object('gpu', freed.gpu, 'job', freed.job, 'attempt', freed.attempt)
  FROM freed
  JOIN jobs ON jobs.id = freed.job
  JOIN projects ON projects.seq = jobs.project
RETURNING seq;
