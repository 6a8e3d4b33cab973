-- The blobs that projects, the cache and finished batch jobs hold.
SELECT digest FROM uploads
 UNION
SELECT digest FROM layers
 UNION
SELECT outputs FROM jobs WHERE outputs IS NOT NULL AND state NOT IN ('terminated', 'purged');
