-- What people want to see of the jobs that serve an application.
-- $1 jobs
SELECT id, servable, state, reason, cardinality(addresses) AS copies_running
  FROM jobs
 WHERE id = ANY ($1::text[]);
