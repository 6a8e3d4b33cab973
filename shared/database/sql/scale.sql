-- Let a job have another number of copies and announce it, while it is wanted. What it may run falls
-- at once; the scheduler lets it run more when there is room. Nothing happens when it is that number.
-- $1 job  $2 attempt  $3 states in which it is wanted  $4 copies  $5 type of the fact  $6 the fact
WITH scaled AS (
    UPDATE jobs
       SET copies = $4,
           granted = least(granted, $4),
           grants = grants + ($4 < granted)::integer,
           scaled_at = CASE WHEN $4 > copies THEN now() ELSE scaled_at END
     WHERE id = $1
       AND attempt = $2
       AND state = ANY ($3::job_state[])
       AND copies <> $4
    RETURNING id, project
)
INSERT INTO events (type, project, source, subject, data)
SELECT $5, scaled.project, '/' || projects.owner || '/' || projects.name, scaled.id, $6::jsonb
  FROM scaled
  JOIN projects ON projects.seq = scaled.project
RETURNING seq;
