-- The applications of a target of which there may be something to write down: all but those that
-- are ready, and of whose jobs none has ended and is still there.
-- $1 target  $2 states of jobs that run, or will
SELECT applications.id AS application, applications.name, applications.state, applications.reason,
       applications.revision, applications.live, coalesce(found.servables, '[]') AS servables
  FROM applications
  JOIN revisions ON revisions.application = applications.id
                AND revisions.revision = applications.revision
 CROSS JOIN LATERAL (
       SELECT jsonb_agg(
                  jsonb_build_object(
                      'model', variant.value ->> 'model',
                      'version_name', variant.value ->> 'version_name',
                      'state', coalesce(job.state::text, 'purged'), -- where there is none
                      'reason', coalesce(job.reason, '')
                  ) ORDER BY variant.n
              ) AS servables
         FROM jsonb_path_query(revisions.graph, '$.stages[*].variants[*]')
              WITH ORDINALITY AS variant (value, n)
         LEFT JOIN LATERAL ( -- the limit keeps the planner from reading all jobs
               SELECT state, reason FROM jobs WHERE jobs.id = variant.value ->> 'job' LIMIT 1
               ) AS job ON true
       ) AS found
 WHERE applications.target = $1
   AND applications.state <> 'removed'
   AND revisions.retired_at IS NULL -- else it was given up
   AND (applications.state <> 'ready'
        OR applications.live IS DISTINCT FROM applications.revision
        OR applications.id IN (
           SELECT jobs.application
             FROM jobs
            WHERE jobs.target = $1
              AND jobs.application IS NOT NULL
              AND jobs.state NOT IN ('terminated', 'purged')
              AND jobs.state <> ALL ($2::job_state[])
           ))
 ORDER BY applications.seq;
