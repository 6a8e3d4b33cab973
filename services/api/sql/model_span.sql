-- How many versions a model has: the name of its newest. No row when there is no such model.
-- $1 project  $2 model
SELECT count(versions.seq)
  FROM deployments
  LEFT JOIN versions ON versions.deployment = deployments.id
 WHERE deployments.project = $1
   AND deployments.kind = 'model'
   AND deployments.name = $2;
