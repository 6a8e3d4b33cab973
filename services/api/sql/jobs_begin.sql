-- Jobs whose ids begin so, in the order of these.
-- $1 how they begin: of lower-case letters and digits, as ids are made  $2 owner (null: any)
-- $3 project (null: any)  $4 state (null: any)  $5 name (null: any)  $6 how many
SELECT id
  FROM jobs
 WHERE id >= $1
   AND id < $1 || 'zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz'
   AND starts_with(id, $1)
   AND ($2::text IS NULL OR owner = $2)
   AND ($3::bigint IS NULL OR project = $3)
   AND ($4::job_state IS NULL OR state = $4)
   AND ($5::text IS NULL OR name = $5)
 ORDER BY id
 LIMIT $6;
