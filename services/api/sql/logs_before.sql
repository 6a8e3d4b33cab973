-- Lines of a subject, newest first.
-- $1 subject  $2 attempt and $3 line to stay before (null: from the newest)  $4 how many
SELECT attempt, line, at, stream, text, source
  FROM logs
 WHERE subject = $1
   AND ($2::integer IS NULL OR (attempt, line) < ($2, $3::bigint))
 ORDER BY attempt DESC, line DESC
 LIMIT $4;
