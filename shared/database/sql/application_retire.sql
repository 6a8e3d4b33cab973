-- Retire the revisions of a target's applications that were replaced before they answered. The
-- newest and the one that answers are the only ones that anybody may still need.
-- $1 target
UPDATE revisions
   SET retired_at = now()
  FROM applications
 WHERE applications.target = $1
   AND applications.state <> 'removed'
   AND revisions.application = applications.id
   AND revisions.retired_at IS NULL
   AND revisions.revision <> applications.revision
   AND revisions.revision IS DISTINCT FROM applications.live;
