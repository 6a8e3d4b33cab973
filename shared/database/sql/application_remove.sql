-- Remove an application and announce it, only if that revision is the newest. Its name is free, none
-- of its revisions answers, and its servables are nobody's.
-- $1 application  $2 revision  $3 type of the fact  $4 the fact
WITH removed AS (
    UPDATE applications
       SET state = 'removed',
           reason = '',
           changed_at = now()
     WHERE id = $1
       AND revision = $2
       AND state <> 'removed'
    RETURNING id, project
), retired AS (
    UPDATE revisions
       SET retired_at = now()
      FROM removed
     WHERE revisions.application = removed.id
       AND revisions.retired_at IS NULL
)
INSERT INTO events (type, project, source, subject, data)
SELECT $3, removed.project, '/' || projects.owner || '/' || projects.name, removed.id, $4::jsonb
  FROM removed
  JOIN projects ON projects.seq = removed.project
RETURNING seq;
