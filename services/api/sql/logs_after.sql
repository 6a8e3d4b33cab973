-- Lines of a subject, oldest first.
-- $1 subject  $2 attempt and $3 line to start after  $4 how many
SELECT attempt, line, at, stream, text, source
  FROM logs
 WHERE subject = $1
   AND (attempt, line) > ($2::integer, $3::bigint)
 ORDER BY attempt, line
 LIMIT $4;
