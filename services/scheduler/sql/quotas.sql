-- What owners may have of a target.
-- $1 target
SELECT owner, gpu_type, nominal, borrow, cohort FROM quotas WHERE target = $1 ORDER BY owner, gpu_type;
