-- What an owner may have.
-- $1 owner  $2 target  $3 GPU type  $4 nominal  $5 how much more  $6 cohort
INSERT INTO quotas (owner, target, gpu_type, nominal, borrow, cohort) VALUES ($1, $2, $3, $4, $5, $6);
