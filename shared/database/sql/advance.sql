-- Move a job and announce it, in one statement, and only if it is still where the caller believes.
-- $1 job  $2 attempt  $3 states it may leave  $4 state it enters  $5 start a new attempt
-- $6 reason (null keeps it)  $7 addresses  $8 type of the fact  $9 the fact
-- $10 whether it queues where it queued before  $11 epoch (null: whoever acts)
WITH moved AS (
    UPDATE jobs
       SET state = $4::job_state,
           attempt = attempt + $5::boolean::integer,
           restarts = CASE WHEN $5::boolean THEN 0 ELSE restarts END,
           reason = coalesce($6::text, reason),
           addresses = $7::text[],
           address = ($7::text[])[1], -- for those who know of one alone
           changed_at = now(),
           queued_at = CASE WHEN $4::job_state = 'queued' AND NOT $10::boolean THEN now()
                            ELSE queued_at END,
           waits = '{}',
           -- who was warned is not let off by becoming ready
           give_way_at = CASE WHEN $4::job_state = 'running' THEN give_way_at END,
           give_way_to = CASE WHEN $4::job_state = 'running' THEN give_way_to END,
           purge_at = NULL,
           purge_told_at = NULL
     WHERE id = $1
       AND attempt = $2
       AND state = ANY ($3::job_state[])
       AND ($11::bigint IS NULL -- else only while nobody newer acts for its target
            OR EXISTS (SELECT FROM leaders
                        WHERE leaders.target = jobs.target AND leaders.epoch = $11 FOR SHARE))
    RETURNING id, project
)
INSERT INTO events (type, project, source, subject, data)
SELECT $8, moved.project, '/' || projects.owner || '/' || projects.name, moved.id, $9::jsonb
  FROM moved
  JOIN projects ON projects.seq = moved.project
RETURNING seq;
