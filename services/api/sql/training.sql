-- What became of the training data of a version; no row when there is none, or nobody looked yet.
-- $1 version
SELECT state, rows, notes, reason FROM trainings WHERE version = $1;
