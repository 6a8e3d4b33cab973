-- The jobs of a series, in their order. What they do is told with the first alone, as it is long.
-- $1 series  $2 its owner (null: any)
SELECT jobs.id, jobs.series, jobs.place, jobs.name, jobs.state, jobs.reason, jobs.attempt,
       jobs.exit_code, jobs.endpoint, jobs.target, jobs.created_at,
       CASE WHEN jobs.place = 0 THEN jobs.run END AS run,
       projects.owner, projects.name AS project, deployments.name AS deployment,
       versions.name AS version_name
  FROM jobs
  JOIN projects ON projects.seq = jobs.project
  JOIN versions ON versions.id = jobs.version
  LEFT JOIN deployments ON deployments.id = versions.deployment
 WHERE jobs.series = $1
   AND ($2::text IS NULL OR projects.owner = $2)
 ORDER BY jobs.place;
