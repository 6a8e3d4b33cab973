-- Announce a fact about a job that moves it nowhere.
-- $1 job  $2 type of the fact  $3 the fact
INSERT INTO events (type, project, source, subject, data)
SELECT $2, jobs.project, '/' || projects.owner || '/' || projects.name, jobs.id, $3::jsonb
  FROM jobs
  JOIN projects ON projects.seq = jobs.project
 WHERE jobs.id = $1;
