-- Give visible events their place in the log, oldest first. One relay at a time does it, so places
-- become visible in order: who has read up to a place never finds a smaller one later.
-- $1 how many at most
WITH waiting AS MATERIALIZED (
    SELECT seq FROM events WHERE position IS NULL ORDER BY seq LIMIT $1
), numbered AS MATERIALIZED (
    SELECT seq, nextval('event_positions') AS position FROM waiting ORDER BY seq
)
UPDATE events
   SET position = numbered.position
  FROM numbered
 WHERE events.seq = numbered.seq;
