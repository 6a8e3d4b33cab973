-- How many GPUs each owner had of a target of late, by type: a mean over all of the past that counts
-- what was a half-life ago for half. An interval that began a seconds ago and ended b seconds ago adds
-- 2^(-b/h) - 2^(-a/h), the integral of 2^(-t/h) over it, divided by that over all of the past. Only
-- what was had since a moment is told: what came before that is for the caller to remember, and let
-- decay.
-- $1 target  $2 half-life in seconds  $3 since (null: as long as it counts for anything)
WITH span AS (
    SELECT clock_timestamp() AS until,
           coalesce($3::timestamptz, clock_timestamp() - make_interval(secs => 10 * $2::float8)) AS since
)
SELECT span.until, had.owner, had.type, had.gpus
  FROM span
  LEFT JOIN LATERAL (
       SELECT jobs.owner, gpus.type,
              -- no power of what is farther away than its type can hold: clocks jump
              sum(power(2.0, greatest(-1000, least(1000, -extract(epoch FROM span.until - least(
                      coalesce(allocations.released_at, span.until), span.until))::float8 / $2)))
                  - power(2.0, greatest(-1000, least(1000, -extract(epoch FROM span.until - greatest(
                      allocations.held_at, span.since))::float8 / $2)))) AS gpus
         FROM allocations
         JOIN gpus ON gpus.id = allocations.gpu
         JOIN jobs ON jobs.id = allocations.job
        WHERE (allocations.released_at IS NULL OR allocations.released_at > span.since)
          AND allocations.held_at < span.until
          AND gpus.target = $1
        GROUP BY jobs.owner, gpus.type
       ) AS had ON true; -- the time is told also where nobody had any
