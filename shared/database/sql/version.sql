-- $1 version
SELECT versions.seq, versions.id, projects.owner, projects.name AS project,
       versions.deployment, deployments.name AS deployment_name, versions.name, versions.state,
       versions.definition, versions.images, versions.notes, versions.reason,
       versions.repository, versions.record,
       versions.created_at, versions.changed_at
  FROM versions
  JOIN projects ON projects.seq = versions.project
  LEFT JOIN deployments ON deployments.id = versions.deployment
 WHERE versions.id = $1;
