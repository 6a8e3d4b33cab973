-- The end of what an attempt's server printed in the last of its lives, newest line first.
-- Between two lives stands a line of the platform; a life that printed nothing is passed over.
-- $1 subject  $2 attempt  $3 how many lines
WITH printed AS (
    SELECT line, text, stream = 'platform' AS ours
      FROM logs
     WHERE subject = $1
       AND attempt = $2
       AND text <> ''
), newest AS (
    SELECT max(line) AS line FROM printed WHERE NOT ours
)
SELECT text
  FROM printed
 WHERE NOT ours
   AND line > COALESCE(
           (SELECT max(line) FROM printed WHERE ours AND line < (SELECT line FROM newest)), 0
       )
 ORDER BY line DESC
 LIMIT $3;
