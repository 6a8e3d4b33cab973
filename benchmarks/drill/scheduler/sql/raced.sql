-- How many stops were asked while their job had its place and had not started.
-- $1 types of what moves a job  $2 that of a stop  $3 that of a place
SELECT count(*)
  FROM (SELECT type, lag(type) OVER (PARTITION BY subject ORDER BY seq) AS before
          FROM events
         WHERE type = ANY ($1::text[])) AS told
 WHERE type = $2 AND before = $3;
