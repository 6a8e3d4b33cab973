-- Hold a model until the transaction ends: its versions are numbered one at a time.
-- $1 project  $2 name
SELECT id, target FROM deployments WHERE project = $1 AND kind = 'model' AND name = $2 FOR UPDATE;
