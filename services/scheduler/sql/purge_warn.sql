-- Tell of jobs of a target that they will be purged, once each and before it by as long as promised.
-- $1 target  $2 seconds of notice  $3 how many  $4 type of the fact
-- $5 what to say of one that was stopped  $6 ... and of one that has finished
WITH due AS (
    SELECT id, clock_timestamp() AS at -- once: what is announced is what is written down
      FROM jobs
     WHERE target = $1
       AND state IN ('stopped', 'finished')
       AND application IS NULL
       AND purge_told_at IS NULL
       AND purge_at <= clock_timestamp() + make_interval(secs => $2)
     ORDER BY purge_at
     LIMIT $3
       FOR UPDATE SKIP LOCKED
), warned AS (
    UPDATE jobs
       SET purge_told_at = due.at,
           purge_at = greatest(purge_at, due.at + make_interval(secs => $2))
      FROM due
     WHERE jobs.id = due.id
    RETURNING jobs.id, jobs.attempt, jobs.project, jobs.state, jobs.purge_at
)
INSERT INTO events (type, project, source, subject, data)
SELECT $4, warned.project, '/' || projects.owner || '/' || projects.name, warned.id,
       jsonb_build_object('job', warned.id, 'attempt', warned.attempt, 'what', 'purge',
                          'at', warned.purge_at,
                          'reason', CASE warned.state WHEN 'stopped' THEN $5::text ELSE $6 END)
  FROM warned
  JOIN projects ON projects.seq = warned.project
RETURNING seq;
