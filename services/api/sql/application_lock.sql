-- Hold an application until the transaction ends. One that was removed has no name any more.
-- $1 name
SELECT id, project, name, target, state, revision, live
  FROM applications
 WHERE name = $1
   AND state <> 'removed'
   FOR UPDATE;
