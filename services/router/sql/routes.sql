-- Every endpoint job that is not over, with all that routing to it needs; oldest first, so that
-- of two jobs of one endpoint the newer is found.
-- $1 only these jobs ...  $2 ... and those of these versions; all when both are null
SELECT jobs.id AS job, projects.owner, projects.name AS project,
       CASE deployments.kind WHEN 'deployment' THEN deployments.name END AS deployment,
       CASE deployments.kind WHEN 'model' THEN deployments.name END AS model,
       versions.id AS version, versions.name AS version_name, jobs.endpoint, jobs.state,
       jobs.attempt, jobs.addresses, jobs.reason, defined.endpoint ->> 'format' AS format,
       coalesce(defined.endpoint -> 'entry' ->> 'kind' = 'routes', false) AS routes,
       coalesce(defined.endpoint -> 'serving', '{}') AS serving,
       jobs.servable, defined.endpoint -> 'entry' -> 'contract' AS contract,
       coalesce(defined.endpoint -> 'autoscaling' ?| '{requests,waiting}', false) AS scaled
  FROM jobs
  JOIN projects ON projects.seq = jobs.project
  JOIN versions ON versions.id = jobs.version
  LEFT JOIN deployments ON deployments.id = versions.deployment
 CROSS JOIN LATERAL (
       SELECT element AS endpoint
         FROM jsonb_array_elements(versions.definition -> 'endpoints') AS element
        WHERE element ->> 'name' = jobs.endpoint
        LIMIT 1
       ) AS defined
 WHERE jobs.kind = 'endpoint'
   AND jobs.state NOT IN ('finished', 'terminated', 'purged')
   AND (($1::text[] IS NULL AND $2::text[] IS NULL)
        OR jobs.id = ANY ($1::text[])
        OR jobs.version = ANY ($2::text[]))
 ORDER BY jobs.seq;
