-- Forget what routers told that are gone since long.
-- $1 seconds since they told it
DELETE FROM demands WHERE at < clock_timestamp() - make_interval(secs => $1);
