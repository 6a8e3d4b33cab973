-- $1 project  $2 name
SELECT id FROM jobs WHERE project = $1 AND name = $2 AND state NOT IN ('terminated', 'purged');
