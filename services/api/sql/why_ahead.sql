-- Jobs that come before another, or have to do with why it waits.
-- $1 jobs
SELECT id AS job, name, owner, state, priority, gpu_count AS count, reason
  FROM jobs
 WHERE id = ANY ($1::text[]);
