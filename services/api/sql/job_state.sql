-- $1 job  $2 its owner (null: any)
SELECT jobs.state
  FROM jobs
  JOIN projects ON projects.seq = jobs.project
 WHERE jobs.id = $1
   AND ($2::text IS NULL OR projects.owner = $2);
