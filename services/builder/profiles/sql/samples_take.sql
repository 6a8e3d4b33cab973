-- The oldest samples, which are gone when the transaction ends.
-- $1 how many
DELETE FROM samples
 USING (SELECT seq FROM samples ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED) AS oldest
 WHERE samples.seq = oldest.seq
RETURNING samples.version, date_trunc('hour', samples.at, 'UTC') AS hour, samples.body;
