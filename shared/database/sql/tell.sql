-- Announce a fact about a job that moves it nowhere.
-- $1 job  $2 type of the fact  $3 the fact  $4 epoch (null: whoever acts)
INSERT INTO events (type, project, source, subject, data)
SELECT $2, jobs.project, '/' || projects.owner || '/' || projects.name, jobs.id, $3::jsonb
  FROM jobs
  JOIN projects ON projects.seq = jobs.project
 WHERE jobs.id = $1
   AND ($4::bigint IS NULL -- else only while nobody newer acts for its target
        OR EXISTS (SELECT FROM leaders
                    WHERE leaders.target = jobs.target AND leaders.epoch = $4 FOR SHARE));
