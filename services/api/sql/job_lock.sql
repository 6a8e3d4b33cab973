-- Hold a job until the transaction ends, so that what is decided about it stays true.
-- $1 job  $2 its owner (null: any)
SELECT jobs.id, jobs.kind, jobs.state, jobs.attempt, jobs.version, versions.state AS version_state,
       jobs.target, jobs.copies, applications.name AS application,
       deployments.kind IS NOT DISTINCT FROM 'model' AS serves_model
  FROM jobs
  JOIN versions ON versions.id = jobs.version
  JOIN projects ON projects.seq = jobs.project
  LEFT JOIN deployments ON deployments.id = versions.deployment
  LEFT JOIN applications ON applications.id = jobs.application AND applications.state <> 'removed'
 WHERE jobs.id = $1
   AND ($2::text IS NULL OR projects.owner = $2)
   FOR UPDATE OF jobs;
