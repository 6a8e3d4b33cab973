-- Say what became of training data, unless that is known.
-- $1 version  $2 state  $3 rows  $4 notes  $5 reason
UPDATE trainings
   SET state = $2, rows = $3, notes = $4, reason = $5, lease_until = NULL, changed_at = now()
 WHERE version = $1
   AND state = 'waiting'
RETURNING version;
