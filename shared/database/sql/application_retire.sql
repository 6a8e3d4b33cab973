-- Retire the revisions of a target's applications that nobody needs any more: those that were replaced
-- before they answered, since only the newest and the one that answers are needed, and the newest
-- where it can't answer since some time, for one of its servables failed for good.
-- $1 target  $2 seconds for which the others of a revision that can't answer may be looked at
WITH hopeless AS (
    -- held, so that nobody applies anew, and shares its servables, at this moment
    SELECT id, revision
      FROM applications
     WHERE target = $1
       AND state = 'failed'
       AND live IS DISTINCT FROM revision
       AND changed_at <= clock_timestamp() - make_interval(secs => $2)
       AND EXISTS (
           SELECT
             FROM revisions
            CROSS JOIN LATERAL jsonb_path_query(
                      revisions.graph, '$.stages[*].variants[*].job') AS variant (job)
             JOIN jobs ON jobs.id = variant.job #>> '{}'
            WHERE revisions.application = applications.id
              AND revisions.revision = applications.revision
              AND revisions.retired_at IS NULL
              AND jobs.state = 'failed'
           )
       FOR UPDATE SKIP LOCKED
), given_up AS (
    UPDATE revisions
       SET retired_at = now()
      FROM hopeless
     WHERE revisions.application = hopeless.id
       AND revisions.revision = hopeless.revision
       AND revisions.retired_at IS NULL
)
UPDATE revisions
   SET retired_at = now()
  FROM applications
 WHERE applications.target = $1
   AND applications.state <> 'removed'
   AND revisions.application = applications.id
   AND revisions.retired_at IS NULL
   AND revisions.revision <> applications.revision
   AND revisions.revision IS DISTINCT FROM applications.live;
