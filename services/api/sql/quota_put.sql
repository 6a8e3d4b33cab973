-- Write what an owner may have of a target. No row when that is what is written already.
-- $1 owner  $2 target  $3 GPU type (*: all together)  $4 nominal  $5 borrow (null: any)  $6 cohort
INSERT INTO quotas AS before (owner, target, gpu_type, nominal, borrow, cohort)
VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (owner, target, gpu_type) DO UPDATE
   SET nominal = excluded.nominal,
       borrow = excluded.borrow,
       cohort = excluded.cohort,
       changed_at = now()
 WHERE (before.nominal, before.borrow, before.cohort)
       IS DISTINCT FROM (excluded.nominal, excluded.borrow, excluded.cohort)
RETURNING owner;
