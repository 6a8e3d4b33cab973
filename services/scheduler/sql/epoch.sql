-- The present epoch of a target.
-- $1 target
SELECT epoch FROM leaders WHERE target = $1;
