-- For operators: how many events are not announced, and for how many seconds the oldest has waited.
SELECT count(*) AS events,
       coalesce(extract(epoch FROM clock_timestamp() - min(time)), 0)::double precision AS seconds
  FROM events
 WHERE announced_at IS NULL;
