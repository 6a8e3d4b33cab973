-- End what one attempt of a job holds and announce each GPU. Called when its processes are proven
-- gone, never before. Repeating it releases nothing more.
-- $1 job  $2 attempt  $3 type of the fact
WITH freed AS (
    UPDATE allocations
       SET released_at = clock_timestamp()
     WHERE job = $1
       AND attempt = $2
       AND released_at IS NULL
    RETURNING gpu, job, attempt
)
INSERT INTO events (type, project, source, subject, data)
SELECT $3, jobs.project, '/' || projects.owner || '/' || projects.name, freed.gpu,
       jsonb_build_object('gpu', freed.gpu, 'job', freed.job, 'attempt', freed.attempt)
  FROM freed
  JOIN jobs ON jobs.id = freed.job
  JOIN projects ON projects.seq = jobs.project
RETURNING seq;
