-- What there is, row by row, and another `version` of it once it is written.
SELECT 'jobs ' || id || ' ' || state || ' ' || reason AS what, xmin::text AS version FROM jobs
UNION ALL
SELECT 'events ' || type || ' ' || subject, seq::text FROM events
UNION ALL
SELECT 'allocations ' || gpu || ' ' || job, xmin::text FROM allocations
UNION ALL
SELECT 'gpus ' || id, xmin::text FROM gpus
UNION ALL
SELECT 'leaders ' || target, xmin::text FROM leaders;
