-- The source that was asked for in the same words and is being fetched, or came a moment ago.
-- $1 project  $2 url  $3 ref  $4 path  $5 seconds
SELECT id
  FROM sources
 WHERE project = $1
   AND url = $2
   AND ref = $3
   AND path = $4
   AND (state = 'fetching' OR state = 'ready' AND changed_at > now() - make_interval(secs => $5))
 ORDER BY seq DESC
 LIMIT 1;
