-- The jobs of a target that were made for an application and that none of its revisions needs, for
-- so long that every router knows. A revision that is retired never comes back, and the next one
-- shares jobs only with the newest and the one that answers, so what nobody needs nobody will. What
-- failed stays, for its lines to be read, while its revision is the newest.
-- $1 target  $2 seconds since a revision was retired in which it is still in use  $3 how many
SELECT jobs.id AS job, jobs.attempt, jobs.state
  FROM jobs
  JOIN applications ON applications.id = jobs.application
 WHERE jobs.target = $1
   AND jobs.application IS NOT NULL
   AND jobs.state NOT IN ('terminated', 'purged')
   AND jobs.state NOT IN ('stopping', 'finished')
   AND (applications.state = 'removed'
        OR NOT EXISTS (
           SELECT
             FROM revisions
            WHERE revisions.application = jobs.application
              AND (revisions.retired_at IS NULL
                   OR revisions.retired_at > clock_timestamp() - make_interval(secs => $2))
              AND revisions.graph @> jsonb_build_object(
                      'stages', jsonb_build_array(jsonb_build_object(
                          'variants', jsonb_build_array(jsonb_build_object('job', jobs.id)))))
           ))
   AND NOT (jobs.state = 'failed'
            AND applications.state = 'failed'
            AND EXISTS (
                SELECT
                  FROM revisions
                 WHERE revisions.application = applications.id
                   AND revisions.revision = applications.revision
                   AND revisions.graph @> jsonb_build_object(
                           'stages', jsonb_build_array(jsonb_build_object(
                               'variants', jsonb_build_array(jsonb_build_object('job', jobs.id)))))
                ))
 ORDER BY jobs.seq
 LIMIT $3;
