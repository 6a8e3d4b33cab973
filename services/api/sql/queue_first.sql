-- Who comes first in a target's queue for GPUs: the first of each owner, class and wish, put in the
-- order in which the scheduler saw them.
-- $1 target  $2 how many
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
), depth AS (
    SELECT greatest(1, 2000 / greatest(1, count(*))) AS each FROM heads
)
SELECT first.*
  FROM depth
 CROSS JOIN heads
 CROSS JOIN LATERAL (
       SELECT id AS job, name, owner, priority, gpu_types AS types, gpu_count AS count, copies,
              preemptible, gang, queued_at, waits
         FROM jobs
        WHERE jobs.target = $1
          AND jobs.owner = heads.owner
          AND jobs.priority = heads.priority
          AND jobs.wish = heads.wish
          AND jobs.state = 'queued'
          AND jobs.gpu_count > 0
        ORDER BY jobs.queued_at, jobs.seq
        LIMIT least($2::bigint, depth.each)
       ) AS first
 ORDER BY first.priority DESC,
          first.waits -> 'cause' IS NULL, -- the scheduler has not looked at those
          coalesce((first.waits ->> 'ahead')::bigint, 0),
          first.queued_at
 LIMIT $2;
