-- What a command runs on: a version by its name or by an alias's, where the jobs of its deployment run,
-- how high its owner's may be, and what time it is. One row: without a deployment when there is none of
-- that name, and without a version likewise.
-- $1 project  $2 owner  $3 name of the deployment  $4 name or alias of the version
SELECT now() AS at, deployments.name AS deployment, deployments.target,
       versions.id AS version, versions.name AS version_name, versions.state, versions.definition,
       (SELECT highest FROM allowances WHERE owner = $2) AS highest
  FROM (VALUES ($3::text)) AS asked (deployment)
  LEFT JOIN deployments
    ON deployments.project = $1
   AND deployments.kind = 'deployment'
   AND deployments.name = asked.deployment
  LEFT JOIN LATERAL (
       SELECT id FROM versions WHERE deployment = deployments.id AND name = $4
        UNION ALL
       SELECT version FROM aliases WHERE deployment = deployments.id AND name = $4
        LIMIT 1
       ) AS found ON true
  LEFT JOIN versions ON versions.id = found.id;
