-- The end of what an attempt printed, newest line first.
-- $1 subject  $2 attempt  $3 how many lines
SELECT text
  FROM logs
 WHERE subject = $1
   AND attempt = $2
   AND stream <> 'platform'
   AND text <> ''
 ORDER BY line DESC
 LIMIT $3;
