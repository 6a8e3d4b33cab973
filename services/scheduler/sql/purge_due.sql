-- Jobs of a target that were told and are to be purged by now. What is told of an earlier stop counts
-- for nothing, whichever release moved the job since.
-- $1 target  $2 seconds since it was stopped, or has finished  $3 how many
SELECT jobs.id AS job, jobs.attempt, jobs.version,
       deployments.kind IS NOT DISTINCT FROM 'model' AS serves_model
  FROM jobs
  JOIN versions ON versions.id = jobs.version
  LEFT JOIN deployments ON deployments.id = versions.deployment
 WHERE jobs.target = $1
   AND jobs.state IN ('stopped', 'finished')
   AND jobs.application IS NULL
   AND jobs.purge_at <= clock_timestamp()
   AND jobs.purge_told_at >= jobs.changed_at
   AND jobs.changed_at <= clock_timestamp() - make_interval(secs => $2)
 ORDER BY jobs.purge_at
 LIMIT $3;
