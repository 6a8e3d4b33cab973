-- How far each of the sources of an attempt's lines has been read.
-- $1 subject  $2 attempt
SELECT source, max(stamp COLLATE "C") AS stamp
  FROM logs
 WHERE subject = $1
   AND attempt = $2
   AND source <> ''
 GROUP BY source;
