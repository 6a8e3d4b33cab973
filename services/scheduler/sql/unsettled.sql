-- The applications of a target of which there may be something to write down: all but those that
-- are ready, and of whose servables none has ended.
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
                      'state', coalesce(jobs.state::text, 'purged'), -- where there is none
                      'reason', coalesce(jobs.reason, '')
                  ) ORDER BY stage.n, variant.n
              ) AS servables,
              bool_and(coalesce(jobs.state = ANY ($2::job_state[]), false)) AS well
         FROM jsonb_array_elements(revisions.graph -> 'stages') WITH ORDINALITY AS stage (value, n)
        CROSS JOIN LATERAL jsonb_array_elements(stage.value -> 'variants')
              WITH ORDINALITY AS variant (value, n)
         LEFT JOIN jobs ON jobs.id = variant.value ->> 'job'
       ) AS found
 WHERE applications.target = $1
   AND applications.state <> 'removed'
   AND NOT (applications.state = 'ready'
            AND applications.live IS NOT DISTINCT FROM applications.revision
            AND found.well)
 ORDER BY applications.seq;
