-- Fail a version that is being built, whoever builds it: the lease ends with it.
-- $1 version  $2 reason
UPDATE versions
   SET state = 'failed',
       reason = $2,
       lease = NULL,
       lease_until = NULL,
       changed_at = now()
  FROM projects
 WHERE versions.id = $1
   AND versions.state = 'building'
   AND projects.seq = versions.project
RETURNING versions.project, '/' || projects.owner || '/' || projects.name AS source;
