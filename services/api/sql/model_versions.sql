-- A model's versions, newest first.
-- $1 model  $2 name (null: any)  $3 before this seq (null: from the newest)  $4 how many
SELECT versions.seq, versions.id, projects.owner, projects.name AS project,
       deployments.name AS model, deployments.target, versions.name, versions.state,
       versions.reason, versions.definition, versions.images, versions.repository, versions.notes,
       versions.created_at, versions.changed_at
  FROM versions
  JOIN deployments ON deployments.id = versions.deployment
  JOIN projects ON projects.seq = versions.project
 WHERE versions.deployment = $1
   AND ($2::text IS NULL OR versions.name = $2)
   AND ($3::bigint IS NULL OR versions.seq < $3)
 ORDER BY versions.seq DESC
 LIMIT $4;
