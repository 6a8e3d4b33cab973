-- A project's deployments, oldest first.
-- $1 project  $2 after this seq (null: from the first)  $3 how many
SELECT deployments.seq, deployments.id, projects.owner, projects.name AS project,
       deployments.name, deployments.target, deployments.created_at,
       (SELECT coalesce(jsonb_object_agg(aliases.name, versions.name), '{}')
          FROM aliases JOIN versions ON versions.id = aliases.version
         WHERE aliases.deployment = deployments.id) AS aliases
  FROM deployments
  JOIN projects ON projects.seq = deployments.project
 WHERE deployments.project = $1
   AND deployments.kind = 'deployment'
   AND ($2::bigint IS NULL OR deployments.seq > $2)
 ORDER BY deployments.seq
 LIMIT $3;
