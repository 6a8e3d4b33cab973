-- $1 project  $2 name
SELECT deployments.seq, deployments.id, projects.owner, projects.name AS project,
       deployments.name, deployments.target, deployments.created_at,
       (SELECT coalesce(jsonb_object_agg(aliases.name, versions.name), '{}')
          FROM aliases JOIN versions ON versions.id = aliases.version
         WHERE aliases.deployment = deployments.id) AS aliases
  FROM deployments
  JOIN projects ON projects.seq = deployments.project
 WHERE deployments.project = $1
   AND deployments.kind = 'deployment'
   AND deployments.name = $2;
