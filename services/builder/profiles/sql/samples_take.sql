-- The oldest samples, which are gone when the transaction ends. One at least, whatever its size.
-- $1 how many  $2 bytes after which there is no other
DELETE FROM samples
 USING (
       SELECT seq, sum(size) OVER (ORDER BY seq) - size AS before
         FROM (SELECT seq, octet_length(body) AS size FROM samples ORDER BY seq LIMIT $1) AS first
       ) AS oldest
 WHERE samples.seq = oldest.seq
   AND oldest.before < $2
RETURNING samples.version, date_trunc('hour', samples.at, 'UTC') AS hour, samples.body;
