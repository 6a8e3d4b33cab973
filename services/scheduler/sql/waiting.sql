-- Who waits on a target, as far as the queue has to be looked at: of each owner, class and wish the
-- first jobs, of each owner the first of those that need no GPU, and jobs that are to run more copies
-- than they may.
-- All ages are of one moment: those who asked at once are as old as one another.
-- $1 target  $2 how many jobs that need some, in all  $3 how many that need none, shared by owners
-- $4 owners, and $5 their classes, of whom more is read: so many times as much ($6)
WITH RECURSIVE heads AS (
    -- each step finds the next in the index, without a look at those between
    (
    SELECT owner, priority, wish
      FROM jobs
     WHERE target = $1
       AND state = 'queued'
       AND gpu_count > 0
     ORDER BY owner, priority DESC, wish
     LIMIT 1
    )
    UNION ALL
    SELECT next.owner, next.priority, next.wish
      FROM heads
     CROSS JOIN LATERAL (
           (
           SELECT jobs.owner, jobs.priority, jobs.wish
             FROM jobs
            WHERE target = $1
              AND state = 'queued'
              AND gpu_count > 0
              AND jobs.owner = heads.owner
              AND jobs.priority = heads.priority
              AND jobs.wish > heads.wish
            ORDER BY jobs.wish
            LIMIT 1
           )
           UNION ALL
           (
           SELECT jobs.owner, jobs.priority, jobs.wish
             FROM jobs
            WHERE target = $1
              AND state = 'queued'
              AND gpu_count > 0
              AND jobs.owner = heads.owner
              AND jobs.priority < heads.priority
            ORDER BY jobs.priority DESC, jobs.wish
            LIMIT 1
           )
           UNION ALL
           (
           SELECT jobs.owner, jobs.priority, jobs.wish
             FROM jobs
            WHERE target = $1
              AND state = 'queued'
              AND gpu_count > 0
              AND jobs.owner > heads.owner
            ORDER BY jobs.owner, jobs.priority DESC, jobs.wish
            LIMIT 1
           )
           LIMIT 1
           ) AS next
), light AS ( -- the owners of those that need none, in the same way
    (
    SELECT owner
      FROM jobs
     WHERE target = $1
       AND state = 'queued'
       AND gpu_count = 0
     ORDER BY owner, queued_at, seq -- for the index that has these alone
     LIMIT 1
    )
    UNION ALL
    SELECT next.owner
      FROM light
     CROSS JOIN LATERAL (
           SELECT jobs.owner
             FROM jobs
            WHERE target = $1
              AND state = 'queued'
              AND gpu_count = 0
              AND jobs.owner > light.owner
            ORDER BY jobs.owner, jobs.queued_at, jobs.seq
            LIMIT 1
           ) AS next
), depth AS (
    SELECT greatest(1, $2::bigint / greatest(1, count(*))) AS each FROM heads
)
SELECT first.*, heads.wish, depth.each AS share,
       first.n >= depth.each * coalesce(more.times, 1) AS cut
  FROM depth
 CROSS JOIN heads
  LEFT JOIN unnest($4::text[], $5::smallint[], $6::bigint[]) AS more (owner, priority, times)
         ON more.owner = heads.owner
        AND more.priority = heads.priority
 CROSS JOIN LATERAL (
       SELECT jobs.id AS job, jobs.attempt, jobs.owner, jobs.priority, jobs.gpu_count AS count,
              jobs.gpu_types AS types, jobs.max_price, jobs.copies, 0 AS granted, 0 AS held,
              jobs.gang, jobs.preemptible, jobs.run_at_most, jobs.reason, jobs.waits,
              extract(epoch FROM statement_timestamp() - jobs.queued_at)::float8 AS age, jobs.seq,
              row_number() OVER (ORDER BY jobs.queued_at, jobs.seq) AS n
         FROM jobs
        WHERE jobs.target = $1
          AND jobs.state = 'queued'
          AND jobs.gpu_count > 0
          AND jobs.owner = heads.owner
          AND jobs.priority = heads.priority
          AND jobs.wish = heads.wish
        ORDER BY jobs.queued_at, jobs.seq
        LIMIT (SELECT each FROM depth) * coalesce(more.times, 1)
       ) AS first
UNION ALL
SELECT first.id, first.attempt, first.owner, first.priority, 0, '{}', NULL, first.copies, 0, 0,
       first.gang, first.preemptible, first.run_at_most, first.reason, first.waits,
       extract(epoch FROM statement_timestamp() - first.queued_at)::float8, first.seq, 0, NULL, 0,
       false
  FROM light
 CROSS JOIN LATERAL (
       SELECT jobs.*
         FROM jobs
        WHERE jobs.target = $1
          AND jobs.state = 'queued'
          AND jobs.gpu_count = 0
          AND jobs.owner = light.owner
        ORDER BY jobs.queued_at, jobs.seq
        LIMIT (SELECT greatest(1, $3::bigint / count(*)) FROM light)
       ) AS first
UNION ALL
-- one who is asked for more copies queues behind those who came before that
SELECT jobs.id, jobs.attempt, jobs.owner, jobs.priority, jobs.gpu_count,
       -- all of its copies have GPUs of one type
       CASE WHEN holding.type IS NULL THEN jobs.gpu_types ELSE ARRAY[holding.type] END,
       jobs.max_price, jobs.copies, jobs.granted, jobs.held, jobs.gang, jobs.preemptible,
       jobs.run_at_most, jobs.reason, jobs.waits,
       extract(epoch FROM statement_timestamp() - greatest(jobs.queued_at, jobs.scaled_at))::float8,
       jobs.seq, 0, NULL, 0, false
  FROM jobs
  LEFT JOIN LATERAL (
       SELECT max(gpus.type) AS type
         FROM allocations
         JOIN gpus ON gpus.id = allocations.gpu
        WHERE allocations.job = jobs.id
          AND allocations.attempt = jobs.attempt
          AND allocations.released_at IS NULL
       ) AS holding ON true
 WHERE jobs.target = $1
   AND jobs.state IN ('starting', 'running')
   AND jobs.copies > jobs.granted;
