-- $1 project  $2 model  $3 name of the version
SELECT versions.id, versions.state, versions.reason, versions.definition, deployments.target
  FROM deployments
  JOIN versions ON versions.deployment = deployments.id
 WHERE deployments.project = $1
   AND deployments.kind = 'model'
   AND deployments.name = $2
   AND versions.name = $3;
