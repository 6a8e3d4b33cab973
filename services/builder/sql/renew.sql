-- Keep a lease for longer. No row: somebody else has the version, or it is finished.
-- $1 version  $2 lease  $3 seconds
UPDATE versions
   SET lease_until = now() + make_interval(secs => $3)
 WHERE id = $1
   AND lease = $2
   AND state = 'building'
RETURNING seq;
