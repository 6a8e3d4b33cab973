-- A project's configurations, oldest first.
-- $1 project  $2 name (null: any)  $3 after this seq (null: from the first)  $4 how many
SELECT configurations.seq, projects.owner, projects.name AS project, configurations.name,
       configurations.body AS settings, configurations.written AS document,
       configurations.created_at, configurations.changed_at
  FROM configurations
  JOIN projects ON projects.seq = configurations.project
 WHERE configurations.project = $1
   AND ($2::text IS NULL OR configurations.name = $2)
   AND ($3::bigint IS NULL OR configurations.seq > $3)
 ORDER BY configurations.seq
 LIMIT $4;
