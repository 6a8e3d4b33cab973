-- Forget all but the last lines of a subject.
-- $1 subject  $2 how many lines are kept
DELETE FROM logs
 WHERE subject = $1
   AND (attempt, line) < (
       SELECT attempt, line
         FROM logs
        WHERE subject = $1
        ORDER BY attempt DESC, line DESC
       OFFSET $2::bigint - 1
        LIMIT 1
   );
