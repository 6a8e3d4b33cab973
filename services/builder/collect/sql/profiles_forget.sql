-- Forget what traffic was like in the hours before then; how many fields' hours.
-- $1 when
WITH gone AS (DELETE FROM profiles WHERE source = 'traffic' AND hour < $1 RETURNING 1)
SELECT count(*) FROM gone;
