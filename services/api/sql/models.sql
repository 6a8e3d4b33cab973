-- A project's models and the newest version of each, oldest model first.
-- $1 project  $2 name (null: any)  $3 after this seq (null: from the first)  $4 how many
SELECT deployments.seq, deployments.id, projects.owner, projects.name AS project, deployments.name,
       deployments.target, deployments.created_at,
       newest.name AS newest, newest.state,
       (SELECT count(*) FROM versions WHERE versions.deployment = deployments.id) AS versions
  FROM deployments
  JOIN projects ON projects.seq = deployments.project
  JOIN LATERAL (
       SELECT versions.name, versions.state
         FROM versions
        WHERE versions.deployment = deployments.id
        ORDER BY versions.seq DESC
        LIMIT 1
       ) AS newest ON true
 WHERE deployments.project = $1
   AND deployments.kind = 'model'
   AND ($2::text IS NULL OR deployments.name = $2)
   AND ($3::bigint IS NULL OR deployments.seq > $3)
 ORDER BY deployments.seq
 LIMIT $4;
