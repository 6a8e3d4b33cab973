-- An application by its id, or the one that has a name.
-- $1 application (null: by name)  $2 name
SELECT applications.seq, applications.id, projects.owner, projects.name AS project,
       applications.name, applications.target, applications.state, applications.reason,
       applications.revision, applications.live, applications.created_at, applications.changed_at
  FROM applications
  JOIN projects ON projects.seq = applications.project
 WHERE applications.id = $1
    OR ($1::text IS NULL AND applications.name = $2 AND applications.state <> 'removed');
