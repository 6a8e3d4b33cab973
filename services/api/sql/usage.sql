-- What holding GPUs took and cost, line by line, with the sums of all lines beside each. An interval
-- is cut at both ends of the time that is asked for, and where a day or month begins, by UTC; what is
-- still held counts until the end. `cost` is in seconds times the price of an hour, so nothing of it is
-- rounded yet; `upto` is that of this line and all before it.
-- $1 owner (null: any)  $2 project (null: any)  $3 job (null: any)  $4 from  $5 until
-- $6 the unit of time that lines are of, `day` or `month` (null: all in one)
-- $7 what else lines are by, any of: owner, project, job, target, gpu_type, price
-- $8 lines to leave out  $9 how many
WITH held AS ( -- one of three, each by an index of its own
    SELECT * FROM allocations
     WHERE $3::text IS NOT NULL AND job = $3 AND ($1::text IS NULL OR owner = $1)
    UNION ALL
    SELECT * FROM allocations
     WHERE $3 IS NULL AND $1 IS NOT NULL AND owner = $1
       AND (released_at > $4 OR released_at IS NULL)
    UNION ALL
    SELECT * FROM allocations
     WHERE $3 IS NULL AND $1 IS NULL
       AND (released_at > $4 OR released_at IS NULL)
), cut AS (
    SELECT owner, job, gpu, price, greatest(held_at, $4::timestamptz) AS since,
           least(released_at, $5::timestamptz) AS until -- `least` passes over null: still held
      FROM held
     WHERE held_at < $5
       AND (released_at > $4 OR released_at IS NULL)
       AND greatest(held_at, $4) < least(released_at, $5) -- no line is of no time
), pieces AS (
    SELECT owner, job, gpu, price, NULL::timestamp AS begins, until - since AS time
      FROM cut
     WHERE $6::text IS NULL
    UNION ALL
    SELECT owner, job, gpu, price, begins,
           least(until, (begins + ('1 ' || $6)::interval) AT TIME ZONE 'UTC')
           - greatest(since, begins AT TIME ZONE 'UTC')
      FROM cut,
           generate_series(date_trunc($6, since AT TIME ZONE 'UTC'),
                           until AT TIME ZONE 'UTC' - interval '1 microsecond',
                           ('1 ' || $6)::interval) AS begins
     WHERE $6 IS NOT NULL
), priced AS (
    SELECT pieces.begins, pieces.price,
           CASE WHEN 'owner' = ANY ($7::text[]) THEN pieces.owner END AS owner,
           CASE WHEN 'project' = ANY ($7) THEN projects.name END AS project,
           CASE WHEN 'job' = ANY ($7) THEN jobs.seq END AS seq,
           CASE WHEN 'target' = ANY ($7) THEN gpus.target END AS target,
           CASE WHEN 'gpu_type' = ANY ($7) THEN gpus.type END AS gpu_type,
           CASE WHEN 'job' = ANY ($7) THEN min(jobs.id) END AS job,
           CASE WHEN 'job' = ANY ($7) THEN min(jobs.name) END AS name,
           extract(epoch FROM sum(pieces.time)) AS seconds
      FROM pieces
      JOIN jobs ON jobs.id = pieces.job
      JOIN projects ON projects.seq = jobs.project
      JOIN gpus ON gpus.id = pieces.gpu
     WHERE ($2::text IS NULL OR projects.name = $2)
     GROUP BY 1, 2, 3, 4, 5, 6, 7
), lines AS (
    SELECT begins, owner, project, seq, target, gpu_type,
           CASE WHEN 'price' = ANY ($7) THEN price END AS price,
           min(job) AS job, min(name) AS name,
           sum(seconds) AS seconds, sum(seconds * price::numeric) AS cost
      FROM priced
     GROUP BY 1, 2, 3, 4, 5, 6, 7
)
SELECT begins, owner, project, job, name, target, gpu_type, price, seconds, cost,
       sum(cost) OVER (ORDER BY begins, owner, project, seq, target, gpu_type, price) AS upto,
       sum(seconds) OVER () AS all_seconds, sum(cost) OVER () AS all_cost
  FROM lines
 ORDER BY begins, owner, project, seq, target, gpu_type, price
OFFSET $8
 LIMIT $9;
