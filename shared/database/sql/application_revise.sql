-- Give an application its next revision and announce it, only if that is the next one. The revision
-- that answers goes on answering; those that never will are retired.
-- $1 application  $2 the next revision  $3 graph  $4 as its owner wrote it
-- $5 type of the fact  $6 the fact
WITH revised AS (
    UPDATE applications
       SET revision = $2,
           state = 'assembling',
           reason = '',
           changed_at = now()
     WHERE id = $1
       AND revision = $2 - 1
       AND state <> 'removed'
    RETURNING id, project, live
), written AS (
    INSERT INTO revisions (application, revision, graph, written)
    SELECT revised.id, $2, $3::jsonb, $4::jsonb FROM revised
), retired AS (
    UPDATE revisions
       SET retired_at = now()
      FROM revised
     WHERE revisions.application = revised.id
       AND revisions.revision IS DISTINCT FROM revised.live
       AND revisions.revision < $2
       AND revisions.retired_at IS NULL
)
INSERT INTO events (type, project, source, subject, data)
SELECT $5, revised.project, '/' || projects.owner || '/' || projects.name, revised.id, $6::jsonb
  FROM revised
  JOIN projects ON projects.seq = revised.project
RETURNING seq;
