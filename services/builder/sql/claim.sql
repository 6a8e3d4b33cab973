-- Take the oldest version that waits for a builder, until the lease runs out. Two builders never
-- get the same one.
-- $1 lease  $2 seconds
UPDATE versions
   SET lease = $1,
       lease_until = now() + make_interval(secs => $2),
       claims = claims + 1
 WHERE id = (
    SELECT id
      FROM versions
     WHERE state = 'building'
       AND (lease_until IS NULL OR lease_until <= now())
     ORDER BY seq
     LIMIT 1
       FOR UPDATE SKIP LOCKED
 )
RETURNING id, definition, claims, errors,
          (SELECT owner || '/' || name FROM projects WHERE seq = versions.project) AS project,
          coalesce((SELECT target FROM jobs WHERE version = versions.id LIMIT 1), '') AS target;
