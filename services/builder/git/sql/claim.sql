-- Take the oldest source that waits to be fetched, until the lease runs out. Two builders never get
-- the same one.
-- $1 lease  $2 seconds
UPDATE sources
   SET lease = $1,
       lease_until = now() + make_interval(secs => $2),
       claims = claims + 1
 WHERE id = (
    SELECT id
      FROM sources
     WHERE state = 'fetching'
       AND (lease_until IS NULL OR lease_until <= now())
     ORDER BY seq
     LIMIT 1
       FOR UPDATE SKIP LOCKED
 )
RETURNING id, url, ref, path, claims, errors;
