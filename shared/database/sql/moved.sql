-- Write down where a running job answers now and announce it, only if that is somewhere else.
-- $1 job  $2 attempt  $3 addresses  $4 type of the fact  $5 the fact
-- $6 epoch (null: whoever acts)
WITH moved AS (
    UPDATE jobs
       SET addresses = $3::text[],
           address = ($3::text[])[1] -- for those who know of one alone
     WHERE id = $1
       AND attempt = $2
       AND state = 'running'
       AND addresses IS DISTINCT FROM $3::text[]
       AND ($6::bigint IS NULL -- else only while nobody newer acts for its target
            OR EXISTS (SELECT FROM leaders
                        WHERE leaders.target = jobs.target AND leaders.epoch = $6 FOR SHARE))
    RETURNING id, project
)
INSERT INTO events (type, project, source, subject, data)
SELECT $4, moved.project, '/' || projects.owner || '/' || projects.name, moved.id, $5::jsonb
  FROM moved
  JOIN projects ON projects.seq = moved.project
RETURNING seq;
