-- Versions of a project's models, oldest first, as clients of Hydrosphere's want them.
-- $1 project  $2 their row numbers (null: any)  $3 their ids (null: any)  $4 model (null: any)
-- $5 name of the version (null: any)
SELECT versions.seq, versions.id, deployments.seq AS model_seq, deployments.name AS model,
       versions.name, versions.state, versions.reason, versions.definition, versions.images,
       versions.repository, versions.created_at, versions.changed_at
  FROM versions
  JOIN deployments ON deployments.id = versions.deployment
 WHERE deployments.project = $1
   AND deployments.kind = 'model'
   AND ($2::bigint[] IS NULL OR versions.seq = ANY ($2))
   AND ($3::text[] IS NULL OR versions.id = ANY ($3))
   AND ($4::text IS NULL OR deployments.name = $4)
   AND ($5::text IS NULL OR versions.name = $5)
 ORDER BY versions.seq
 LIMIT 10000;
