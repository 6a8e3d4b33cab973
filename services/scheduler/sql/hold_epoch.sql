-- Let nobody begin a newer epoch of a target until this transaction ends. No row: somebody has.
-- $1 target  $2 epoch
SELECT epoch FROM leaders WHERE target = $1 AND epoch = $2 FOR SHARE;
