-- Where aliases point.
-- $1 only those of these deployments; all when null
SELECT projects.owner, projects.name AS project, deployments.name AS deployment,
       deployments.id AS deployment_id, aliases.name, aliases.version
  FROM aliases
  JOIN deployments ON deployments.id = aliases.deployment
  JOIN projects ON projects.seq = deployments.project
 WHERE $1::text[] IS NULL
    OR aliases.deployment = ANY ($1::text[]);
