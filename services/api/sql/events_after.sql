-- Facts in the order of their positions: whoever follows it misses none.
-- $1 owner: what is of its projects, and about itself (null: all, also the platform's own)
-- $2 after this position  $3 how many
SELECT events.position, events.id::text, events.source, events.type, events.subject, events.time,
       events.data
  FROM events
  LEFT JOIN projects ON projects.seq = events.project
 WHERE events.position > $2
   AND ($1::text IS NULL OR projects.owner = $1 OR events.source = '/' || $1)
 ORDER BY events.position
 LIMIT $3;
