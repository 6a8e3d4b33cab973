-- Take a version that waits for a builder, until the lease runs out. Two builders never get the
-- same one. Owners take turns: first whoever has least being built, then whoever's turn was
-- longest ago, and of one owner the oldest.
-- $1 lease  $2 seconds
WITH busy AS (
    SELECT projects.owner, count(*) AS builds
      FROM versions
      JOIN projects ON projects.seq = versions.project
     WHERE versions.state = 'building'
       AND versions.lease IS NOT NULL
       AND versions.lease_until > now()
     GROUP BY projects.owner
), taken AS (
    UPDATE versions
       SET lease = $1,
           lease_until = now() + make_interval(secs => $2),
           claims = claims + 1
     WHERE id = (
        SELECT versions.id
          FROM versions
          JOIN projects ON projects.seq = versions.project
          LEFT JOIN busy ON busy.owner = projects.owner
          LEFT JOIN build_turns ON build_turns.owner = projects.owner
         WHERE versions.state = 'building'
           AND (versions.lease_until IS NULL OR versions.lease_until <= now())
         ORDER BY coalesce(busy.builds, 0), build_turns.at NULLS FIRST, versions.seq
         LIMIT 1
           FOR UPDATE OF versions SKIP LOCKED
     )
    RETURNING *
), turn AS (
    INSERT INTO build_turns (owner, at)
    SELECT projects.owner, clock_timestamp()
      FROM taken
      JOIN projects ON projects.seq = taken.project
        ON CONFLICT (owner) DO UPDATE SET at = excluded.at
)
SELECT taken.id, taken.definition, taken.claims, taken.errors, taken.troubles,
       coalesce(extract(epoch FROM now() - taken.troubled_at), 0)::double precision AS troubled,
       projects.owner || '/' || projects.name AS project,
       coalesce(deployments.name, '') AS deployment,
       coalesce(
           (SELECT target FROM jobs WHERE version = taken.id LIMIT 1), -- none of a model as such
           deployments.target,
           ''
       ) AS target
  FROM taken
  JOIN projects ON projects.seq = taken.project
  LEFT JOIN deployments ON deployments.id = taken.deployment;
