-- Tell jobs that they have to give way, and when: once each, and only those that may have to.
-- $1 the facts, without the time  $2 for which jobs, one for each of them  $3 seconds from now
-- $4 type of the facts  $5 epoch (null: whoever acts)
WITH given AS (
    SELECT told.fact, told.fact ->> 'job' AS job, (told.fact ->> 'attempt')::integer AS attempt,
           told.waiting
      FROM unnest($1::jsonb[], $2::text[]) AS told (fact, waiting)
), warned AS (
    UPDATE jobs
       SET give_way_at = clock_timestamp() + make_interval(secs => $3),
           give_way_to = given.waiting
      FROM given
     WHERE jobs.id = given.job
       AND jobs.attempt = given.attempt
       AND jobs.state IN ('starting', 'running')
       AND jobs.preemptible
       AND jobs.give_way_at IS NULL
       AND ($5::bigint IS NULL
            OR EXISTS (SELECT FROM leaders
                        WHERE leaders.target = jobs.target AND leaders.epoch = $5 FOR SHARE))
    RETURNING jobs.id, jobs.project, jobs.give_way_at, given.fact
)
INSERT INTO events (type, project, source, subject, data)
SELECT $4, warned.project, '/' || projects.owner || '/' || projects.name, warned.id,
       warned.fact || jsonb_build_object('at', warned.give_way_at)
  FROM warned
  JOIN projects ON projects.seq = warned.project
RETURNING subject;
