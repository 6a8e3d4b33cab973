-- Hold a deployment until the transaction ends: its names are given out one at a time.
-- $1 id
SELECT id FROM deployments WHERE id = $1 FOR UPDATE;
