-- A project's applications and the newest revision of each, oldest application first.
-- $1 project  $2 name (null: any)  $3 after this seq (null: from the first)  $4 how many
SELECT applications.seq, applications.id, projects.owner, projects.name AS project,
       applications.name, applications.target, applications.state, applications.reason,
       applications.revision, applications.live, revisions.graph,
       applications.created_at, applications.changed_at
  FROM applications
  JOIN projects ON projects.seq = applications.project
  JOIN revisions ON revisions.application = applications.id
   AND revisions.revision = applications.revision
 WHERE applications.project = $1
   AND applications.state <> 'removed'
   AND ($2::text IS NULL OR applications.name = $2)
   AND ($3::bigint IS NULL OR applications.seq > $3)
 ORDER BY applications.seq
 LIMIT $4;
