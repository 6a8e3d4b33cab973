-- A deployment's versions, newest first.
-- $1 deployment  $2 before this seq (null: from the newest)  $3 how many
SELECT seq, id, name, state, reason, created_at
  FROM versions
 WHERE deployment = $1
   AND ($2::bigint IS NULL OR seq < $2)
 ORDER BY seq DESC
 LIMIT $3;
