-- Jobs, newest first, with what people want to see of them.
-- $1 job (null: any)  $2 owner (null: any)  $3 project (null: any)  $4 state (null: any)
-- $5 name (null: any)  $6 before this seq (null: from the newest)  $7 how many
SELECT jobs.seq, jobs.id, projects.owner, projects.name AS project, jobs.name, jobs.kind,
       jobs.state, jobs.reason, jobs.attempt, jobs.restarts, jobs.version,
       versions.name AS version_name,
       CASE WHEN deployments.kind = 'deployment' THEN deployments.name END AS deployment,
       CASE WHEN deployments.kind = 'model' THEN deployments.name END AS model,
       jobs.servable, applications.name AS application, jobs.endpoint, jobs.target,
       jobs.copies, cardinality(jobs.addresses) AS copies_running,
       jobs.gpu_types, jobs.gpu_count, jobs.created_at, jobs.changed_at, jobs.queued_at,
       jobs.placed_at, jobs.priority, jobs.preemptible, jobs.gang, jobs.run_at_most, jobs.start_by,
       jobs.give_way_at, jobs.series, jobs.place, jobs.retries, jobs.exit_code,
       CASE WHEN jobs.state NOT IN ('terminated', 'purged') THEN jobs.outputs_size END
           AS outputs_size,
       ARRAY(SELECT gpu FROM allocations
              WHERE allocations.job = jobs.id AND released_at IS NULL ORDER BY gpu) AS gpus,
       coalesce((SELECT sum(gpus.price) FROM allocations JOIN gpus ON gpus.id = allocations.gpu
                  WHERE allocations.job = jobs.id AND released_at IS NULL), 0) AS price_per_hour
  FROM jobs
  JOIN projects ON projects.seq = jobs.project
  JOIN versions ON versions.id = jobs.version
  LEFT JOIN deployments ON deployments.id = versions.deployment
  LEFT JOIN applications ON applications.id = jobs.application
 WHERE ($1::text IS NULL OR jobs.id = $1)
   AND ($2::text IS NULL OR projects.owner = $2)
   AND ($3::bigint IS NULL OR jobs.project = $3)
   AND ($4::job_state IS NULL OR jobs.state = $4)
   AND ($5::text IS NULL OR jobs.name = $5)
   AND ($6::bigint IS NULL OR jobs.seq < $6)
 ORDER BY jobs.seq DESC
 LIMIT $7;
