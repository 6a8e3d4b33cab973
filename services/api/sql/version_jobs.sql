-- The jobs of a version: the latest of each endpoint.
-- $1 version
SELECT DISTINCT ON (endpoint) endpoint, id, state
  FROM jobs
 WHERE version = $1
   AND kind = 'endpoint'
 ORDER BY endpoint, seq DESC;
