-- Forget layers that nobody has asked for since then; how many.
-- $1 when
WITH gone AS (DELETE FROM layers WHERE used_at < $1 RETURNING 1)
SELECT count(*) FROM gone;
