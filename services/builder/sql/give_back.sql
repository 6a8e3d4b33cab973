-- Let another builder have the version after a pause. Giving it back in order is no claim spent.
-- $1 version  $2 lease  $3 seconds  $4 errors of our own to count  $5 passing troubles to count
-- $6 why it waits, which its jobs tell as well (null: as before)
WITH given AS (
    UPDATE versions
       SET lease = NULL,
           lease_until = now() + make_interval(secs => $3),
           claims = claims - 1,
           errors = errors + $4,
           troubles = troubles + $5,
           reason = coalesce($6, reason),
           troubled_at = CASE WHEN $5 > 0 THEN coalesce(troubled_at, now()) ELSE troubled_at END
     WHERE id = $1
       AND lease = $2
       AND state = 'building'
    RETURNING id
)
UPDATE jobs
   SET reason = $6
  FROM given
 WHERE jobs.version = given.id
   AND jobs.state IN ('submitted', 'building')
   AND $6 IS NOT NULL;
