-- What has not ended yet.
SELECT id || ' is ' || state AS what
  FROM jobs
 WHERE state NOT IN ('stopped', 'finished', 'failed', 'terminated', 'purged')
UNION ALL
SELECT gpu || ' is held by ' || job FROM allocations WHERE released_at IS NULL
 ORDER BY what;
