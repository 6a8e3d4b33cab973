-- How many of its owner's own jobs come before one that waits, and the first of them.
-- $1 job  $2 how many are counted at most
WITH mine AS (
    SELECT target, owner, priority, queued_at, seq FROM jobs WHERE id = $1
), before AS (
    SELECT
      FROM mine
      JOIN jobs ON jobs.target = mine.target
               AND jobs.owner = mine.owner
               AND jobs.state = 'queued'
               AND jobs.gpu_count > 0
               AND (jobs.priority > mine.priority
                    OR jobs.priority = mine.priority
                       AND (jobs.queued_at, jobs.seq) < (mine.queued_at, mine.seq))
     LIMIT $2
), top AS (
    SELECT first.priority
      FROM mine,
           LATERAL (SELECT jobs.priority
                      FROM jobs
                     WHERE jobs.target = mine.target
                       AND jobs.owner = mine.owner
                       AND jobs.state = 'queued'
                       AND jobs.gpu_count > 0
                     ORDER BY jobs.priority DESC
                     LIMIT 1) AS first
)
SELECT (SELECT count(*) FROM before) AS ahead, first.id AS first
  FROM mine
  LEFT JOIN LATERAL (
       SELECT heads.id
         FROM top, generate_series(0, 15) AS wish,
              LATERAL (SELECT jobs.id, jobs.queued_at, jobs.seq
                         FROM jobs
                        WHERE jobs.target = mine.target
                          AND jobs.owner = mine.owner
                          AND jobs.priority = top.priority
                          AND jobs.wish = wish.wish
                          AND jobs.state = 'queued'
                          AND jobs.gpu_count > 0
                        ORDER BY jobs.queued_at, jobs.seq
                        LIMIT 1) AS heads
        ORDER BY heads.queued_at, heads.seq
        LIMIT 1
       ) AS first ON true;
