-- End a build, only for the builder that holds the lease.
-- $1 version  $2 lease  $3 state  $4 images  $5 notes  $6 reason
-- $7 repository  $8 record
UPDATE versions
   SET state = $3::version_state,
       images = $4::jsonb,
       notes = $5,
       reason = $6,
       repository = $7,
       record = $8::jsonb,
       lease = NULL,
       lease_until = NULL,
       changed_at = now()
  FROM projects
 WHERE versions.id = $1
   AND versions.lease = $2
   AND versions.state = 'building'
   AND projects.seq = versions.project
RETURNING versions.project, '/' || projects.owner || '/' || projects.name AS source;
