-- $1 job
SELECT jobs.endpoint, versions.definition
  FROM jobs
  JOIN versions ON versions.id = jobs.version
 WHERE jobs.id = $1;
