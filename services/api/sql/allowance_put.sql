-- Write how an owner counts in the queue. No row when that is what is written already.
-- $1 owner  $2 weight  $3 highest priority
INSERT INTO allowances AS before (owner, weight, highest)
VALUES ($1, $2, $3)
    ON CONFLICT (owner) DO UPDATE
   SET weight = excluded.weight,
       highest = excluded.highest,
       changed_at = now()
 WHERE (before.weight, before.highest) IS DISTINCT FROM (excluded.weight, excluded.highest)
RETURNING owner;
