-- Tell a job's owner when the present attempt has to end, once.
-- $1 job  $2 attempt  $3 type of the fact  $4 the fact, without the time
-- $5 epoch (null: whoever acts)
WITH told AS (
    UPDATE jobs
       SET end_told_at = clock_timestamp()
     WHERE id = $1
       AND attempt = $2
       AND state IN ('starting', 'running')
       AND run_at_most IS NOT NULL
       AND end_told_at IS NULL
       AND ($5::bigint IS NULL
            OR EXISTS (SELECT FROM leaders
                        WHERE leaders.target = jobs.target AND leaders.epoch = $5 FOR SHARE))
    RETURNING id, project, placed_at + make_interval(secs => run_at_most) AS at
)
INSERT INTO events (type, project, source, subject, data)
SELECT $3, told.project, '/' || projects.owner || '/' || projects.name, told.id,
       $4::jsonb || jsonb_build_object('at', told.at)
  FROM told
  JOIN projects ON projects.seq = told.project
RETURNING seq;
