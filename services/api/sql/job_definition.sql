-- $1 job
SELECT jobs.endpoint, versions.definition, jobs.configuration
  FROM jobs
  JOIN versions ON versions.id = jobs.version
 WHERE jobs.id = $1;
