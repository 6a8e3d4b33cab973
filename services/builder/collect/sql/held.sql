-- The blobs that projects and finished batch jobs hold.
SELECT digest FROM uploads
 UNION
SELECT outputs FROM jobs WHERE outputs IS NOT NULL AND state NOT IN ('terminated', 'purged');
