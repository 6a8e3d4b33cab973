-- $1 job
SELECT jobs.seq, jobs.id, projects.owner, projects.name AS project, jobs.kind, jobs.name,
       jobs.version, jobs.endpoint, jobs.target, jobs.gpu_types, jobs.gpu_count, jobs.state,
       jobs.attempt, jobs.reason, jobs.addresses, jobs.copies, jobs.granted, jobs.restarts,
       jobs.created_at, jobs.changed_at, jobs.queued_at, jobs.servable, jobs.application,
       jobs.configuration, jobs.run
  FROM jobs
  JOIN projects ON projects.seq = jobs.project
 WHERE jobs.id = $1;
