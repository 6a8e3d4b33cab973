-- Projects, oldest first.
-- $1 of this owner only (null: all)  $2 after this seq (null: from the first)  $3 how many
SELECT seq, owner, name, created_at
  FROM projects
 WHERE ($1::text IS NULL OR owner = $1)
   AND ($2::bigint IS NULL OR seq > $2)
 ORDER BY seq
 LIMIT $3;
