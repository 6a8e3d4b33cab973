-- Some stopped jobs by chance that had fewer places than so many more than the one that had fewest.
-- $1 places  $2 how many
SELECT id AS job, attempt
  FROM jobs
 WHERE state = 'stopped'
   AND grants < $1::integer + (SELECT min(grants) FROM jobs WHERE state <> 'failed')
 ORDER BY random()
 LIMIT $2;
