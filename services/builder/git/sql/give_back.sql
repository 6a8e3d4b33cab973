-- Let another builder have the source after a pause. Giving it back in order is no claim spent.
-- $1 source  $2 lease  $3 seconds  $4 troubles to count
UPDATE sources
   SET lease = NULL,
       lease_until = now() + make_interval(secs => $3),
       claims = claims - 1,
       errors = errors + $4
 WHERE id = $1
   AND lease = $2
   AND state = 'fetching';
