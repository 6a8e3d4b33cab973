-- A line for each version of each row that there is: another one once anything is written.
SELECT 'jobs ' || id || ' ' || xmin || ' ' || state || ' ' || reason AS line FROM jobs
UNION ALL
SELECT 'events ' || type || ' ' || seq FROM events
UNION ALL
SELECT 'allocations ' || gpu || ' ' || xmin FROM allocations
UNION ALL
SELECT 'gpus ' || id || ' ' || xmin FROM gpus
UNION ALL
SELECT 'leaders ' || target || ' ' || xmin FROM leaders;
