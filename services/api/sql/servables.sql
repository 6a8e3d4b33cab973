-- A project's servables, newest first. Of those of one name, all but one are gone.
-- $1 project  $2 name (null: any)  $3 before this seq (null: from the newest)  $4 how many
SELECT jobs.seq, jobs.servable AS name, projects.owner, projects.name AS project,
       deployments.name AS model, versions.name AS version, versions.id AS version_id,
       applications.name AS application, jobs.id AS job, jobs.state, jobs.reason, jobs.target,
       jobs.copies, cardinality(jobs.addresses) AS copies_running,
       jobs.configuration AS settings, versions.definition, jobs.created_at, jobs.changed_at
  FROM jobs
  JOIN projects ON projects.seq = jobs.project
  JOIN versions ON versions.id = jobs.version
  JOIN deployments ON deployments.id = versions.deployment
  LEFT JOIN applications ON applications.id = jobs.application
 WHERE jobs.project = $1
   AND jobs.servable IS NOT NULL
   AND jobs.state NOT IN ('terminated', 'purged')
   AND ($2::text IS NULL OR jobs.servable = $2)
   AND ($3::bigint IS NULL OR jobs.seq < $3)
 ORDER BY jobs.seq DESC
 LIMIT $4;
