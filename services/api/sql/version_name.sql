-- The next `YYYYMMDD.N` of a deployment that the caller holds: today in UTC, N counts from 0.
-- $1 deployment
SELECT today || '.' || (SELECT coalesce(max(split_part(name, '.', 2)::numeric) + 1, 0)
                          FROM versions
                         WHERE deployment = $1
                           AND name ~ ('^' || today || '\.[0-9]+$'))
  FROM to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD') AS today;
