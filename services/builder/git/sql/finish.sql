-- End a fetch, only for the builder that holds the lease.
-- $1 source  $2 lease  $3 state  $4 digest  $5 size  $6 commit  $7 notes  $8 reason
UPDATE sources
   SET state = $3::source_state,
       digest = $4,
       size = $5,
       commit = $6,
       notes = $7,
       reason = $8,
       lease = NULL,
       lease_until = NULL,
       changed_at = now()
  FROM projects
 WHERE sources.id = $1
   AND sources.lease = $2
   AND sources.state = 'fetching'
   AND projects.seq = sources.project
RETURNING sources.project, '/' || projects.owner || '/' || projects.name AS source;
