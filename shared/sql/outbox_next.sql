-- The events to announce next, in the order of the log.
-- $1 position after which to look  $2 how many at most
SELECT position, id::text AS id, source, type, subject, time, data::text AS data
  FROM events
 WHERE announced_at IS NULL
   AND position > $1
 ORDER BY position
 LIMIT $2;
