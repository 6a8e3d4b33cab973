-- Keep a lease for longer. No row: somebody else has the source, or it is finished.
-- $1 source  $2 lease  $3 seconds
UPDATE sources
   SET lease_until = now() + make_interval(secs => $3)
 WHERE id = $1
   AND lease = $2
   AND state = 'fetching'
RETURNING seq;
