-- Write down what is asked of jobs at one router, in place of what it told before. What it told of
-- others is forgotten, but for those of which it has nothing new to tell.
-- $1 router  $2 jobs  $3 requests in hand  $4 requests that wait  $5 turned away in a second
-- $6 seconds that one takes  $7 seconds since it was last busy (null: it never was)  $8 the others
WITH gone AS (
    DELETE FROM demands
     WHERE router = $1
       AND job <> ALL ($2::text[])
       AND job <> ALL ($8::text[])
)
INSERT INTO demands (router, job, inside, waiting, turned_away, seconds, busy_at, at)
SELECT $1, given.job, given.inside, given.waiting, given.turned_away, given.seconds,
       clock_timestamp() - make_interval(secs => given.idle), clock_timestamp()
  FROM unnest($2::text[], $3::float8[], $4::float8[], $5::float8[], $6::float8[], $7::float8[])
       AS given (job, inside, waiting, turned_away, seconds, idle)
    ON CONFLICT (router, job) DO UPDATE
   SET inside = excluded.inside,
       waiting = excluded.waiting,
       turned_away = excluded.turned_away,
       seconds = excluded.seconds,
       busy_at = excluded.busy_at,
       at = excluded.at;
