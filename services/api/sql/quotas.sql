-- Quotas, by owner, target and GPU type.
-- $1 owner (null: all)  $2 target (null: all)  $3 GPU type (null: all)
-- $4, $5 and $6 owner, target and GPU type to come after (null: from the first)  $7 how many
SELECT owner, target, gpu_type, nominal, borrow, cohort, changed_at
  FROM quotas
 WHERE ($1::text IS NULL OR owner = $1)
   AND ($2::text IS NULL OR target = $2)
   AND ($3::text IS NULL OR gpu_type = $3)
   AND ($4::text IS NULL OR (owner, target, gpu_type) > ($4, $5::text, $6::text))
 ORDER BY owner, target, gpu_type
 LIMIT $7;
