-- Let the newest revision of an application answer, and no other, and announce it: only if it is
-- the newest, every one of its servables runs, and it does not answer already.
-- $1 application  $2 revision  $3 type of the fact  $4 the fact
WITH settled AS (
    UPDATE applications
       SET live = applications.revision,
           state = 'ready',
           reason = '',
           changed_at = now()
      FROM revisions
     WHERE applications.id = $1
       AND applications.revision = $2
       AND (applications.state IN ('assembling', 'failed')
            OR applications.state = 'ready' AND applications.live IS DISTINCT FROM $2)
       AND revisions.application = applications.id
       AND revisions.revision = applications.revision
       AND NOT EXISTS (
           SELECT
             FROM jsonb_path_query(revisions.graph, '$.stages[*].variants[*].job') AS variant (job)
             LEFT JOIN LATERAL ( -- the limit keeps the planner from reading all jobs
                   SELECT state FROM jobs WHERE jobs.id = variant.job #>> '{}' LIMIT 1
                   ) AS job ON true
            WHERE job.state IS DISTINCT FROM 'running'
           )
    RETURNING applications.id, applications.project, applications.revision
), retired AS (
    UPDATE revisions
       SET retired_at = now()
      FROM settled
     WHERE revisions.application = settled.id
       AND revisions.revision < settled.revision
       AND revisions.retired_at IS NULL
)
INSERT INTO events (type, project, source, subject, data)
SELECT $3, settled.project, '/' || projects.owner || '/' || projects.name, settled.id, $4::jsonb
  FROM settled
  JOIN projects ON projects.seq = settled.project
RETURNING seq;
