-- A chore is done, or is to be tried again. Does nothing when somebody else took it over.
-- $1 name  $2 who we are  $3 seconds until it is next due
UPDATE chores
   SET holder = NULL, next_at = now() + make_interval(secs => $3)
 WHERE name = $1
   AND holder = $2;
