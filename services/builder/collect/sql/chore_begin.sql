-- Whether it is our turn to do a chore; then nobody else begins it for some time.
-- $1 name  $2 who we are  $3 seconds that it may take
INSERT INTO chores (name, holder, next_at)
VALUES ($1, $2, now() + make_interval(secs => $3))
    ON CONFLICT (name) DO UPDATE
   SET holder = excluded.holder, next_at = excluded.next_at
 WHERE chores.next_at <= now()
RETURNING name;
