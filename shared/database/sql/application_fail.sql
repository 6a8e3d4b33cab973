-- Write down why the newest revision of an application can't answer, and announce it: only if it is
-- the newest, and that is not written down already. What answers goes on answering.
-- $1 application  $2 revision  $3 reason  $4 type of the fact  $5 the fact
WITH settled AS (
    UPDATE applications
       SET state = 'failed',
           reason = $3,
           changed_at = CASE WHEN state = 'failed' THEN changed_at ELSE now() END
     WHERE id = $1
       AND revision = $2
       AND state <> 'removed'
       AND (state <> 'failed' OR reason <> $3)
    RETURNING id, project
)
INSERT INTO events (type, project, source, subject, data)
SELECT $4, settled.project, '/' || projects.owner || '/' || projects.name, settled.id, $5::jsonb
  FROM settled
  JOIN projects ON projects.seq = settled.project
RETURNING seq;
