-- Note that the bus has these events.
-- $1 ids
UPDATE events
   SET announced_at = clock_timestamp()
 WHERE id = ANY ($1::uuid[])
   AND announced_at IS NULL;
