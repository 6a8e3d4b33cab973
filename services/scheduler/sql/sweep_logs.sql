-- Forget what jobs of a target printed that are terminated or purged, of each once and for good: long
-- enough after that for whoever was writing lines at that moment to be done, and nobody begins to.
-- $1 target  $2 seconds since  $3 how many
WITH over AS (
    SELECT id
      FROM jobs
     WHERE target = $1
       AND state IN ('terminated', 'purged')
       AND NOT swept
       AND changed_at < clock_timestamp() - make_interval(secs => $2)
     ORDER BY changed_at
     LIMIT $3
       FOR UPDATE SKIP LOCKED
), forgotten AS (
    -- a list, so that the lines of others are never looked at
    DELETE FROM logs WHERE subject = ANY (ARRAY(SELECT id FROM over))
)
UPDATE jobs
   SET swept = true
  FROM over
 WHERE jobs.id = over.id
RETURNING jobs.id;
