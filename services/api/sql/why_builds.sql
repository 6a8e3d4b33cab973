-- Versions that wait for a builder, owner by owner: how many, how many of them before one, how many
-- of the owner's are being built, and whose turn was longest ago.
-- $1 version
SELECT projects.owner,
       count(*) FILTER (WHERE coalesce(versions.lease_until <= now(), true)) AS waiting,
       count(*) FILTER (WHERE coalesce(versions.lease_until <= now(), true)
                          AND versions.seq < mine.seq) AS before,
       count(*) FILTER (WHERE versions.lease_until > now()) AS building,
       projects.owner = mine.owner AS own,
       coalesce(rank() OVER (ORDER BY max(build_turns.at) NULLS FIRST), 0) AS turn
  FROM versions
  JOIN projects ON projects.seq = versions.project
  LEFT JOIN build_turns ON build_turns.owner = projects.owner
 CROSS JOIN (
       SELECT versions.seq, projects.owner
         FROM versions
         JOIN projects ON projects.seq = versions.project
        WHERE versions.id = $1
       ) AS mine
 WHERE versions.state = 'building'
 GROUP BY projects.owner, mine.owner;
