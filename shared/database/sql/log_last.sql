-- The highest line number kept, 0 for none: where shipping goes on after a restart.
-- $1 subject  $2 attempt
SELECT coalesce(max(line), 0) FROM logs WHERE subject = $1 AND attempt = $2;
