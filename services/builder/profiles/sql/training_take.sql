-- Take training data that waits to be read, until the lease runs out.
-- $1 seconds
UPDATE trainings
   SET lease_until = now() + make_interval(secs => $1), tries = tries + 1
 WHERE version = (
       SELECT version
         FROM trainings
        WHERE state = 'waiting'
          AND (lease_until IS NULL OR lease_until <= now())
        ORDER BY tries, version
        LIMIT 1
          FOR UPDATE SKIP LOCKED
     )
RETURNING version, tries,
          (SELECT projects.owner || '/' || projects.name
             FROM versions JOIN projects ON projects.seq = versions.project
            WHERE versions.id = trainings.version) AS project,
          (SELECT definition FROM versions WHERE versions.id = trainings.version) AS definition;
