-- How things stand: what is on its way, what was given, and what is held.
SELECT (SELECT count(*) FROM jobs
         WHERE state NOT IN ('stopped', 'finished', 'failed', 'terminated', 'purged')) AS unended,
       (SELECT count(*) FROM jobs WHERE grants = 0) AS unplaced,
       (SELECT count(*) FROM allocations) AS given,
       (SELECT count(*) FROM allocations WHERE released_at IS NULL) AS held;
