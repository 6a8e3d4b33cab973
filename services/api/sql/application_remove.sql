-- $1 project  $2 name
UPDATE applications
   SET state = 'removed',
       changed_at = now()
 WHERE project = $1
   AND name = $2
   AND state <> 'removed'
RETURNING id, revision;
