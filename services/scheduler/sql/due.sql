-- What is due for the jobs of a target: those that were to start by now, those that have to give way,
-- those that have run for as long as they may, and those whose owners are to be told that they soon
-- will have.
-- $1 target  $2 seconds before its end in which an owner is told  $3 how many of each
-- $4 jobs, and $5 their attempts, that have ended by themselves: nothing more is due for these
(
SELECT id AS job, attempt, kind, 'start' AS what, NULL AS "to", run_at_most
  FROM jobs
 WHERE target = $1
   AND state IN ('submitted', 'building', 'queued')
   AND placed_at IS NULL -- who has had its place and lost it was in time
   AND start_by IS NOT NULL
   AND start_by <= now()
 ORDER BY start_by
 LIMIT $3
)
UNION ALL
(
SELECT id, attempt, kind, 'give way', give_way_to, NULL
  FROM jobs
 WHERE target = $1
   AND state IN ('starting', 'running')
   AND give_way_at IS NOT NULL
   AND give_way_at <= now()
   AND (id, attempt) NOT IN (SELECT * FROM unnest($4::text[], $5::integer[]))
 ORDER BY give_way_at
 LIMIT $3
)
UNION ALL
(
SELECT id, attempt, kind,
       CASE WHEN placed_at + make_interval(secs => run_at_most) <= now() THEN 'end'
            ELSE 'tell' END,
       NULL, run_at_most
  FROM jobs
 WHERE target = $1
   AND state IN ('starting', 'running')
   AND run_at_most IS NOT NULL
   AND placed_at + make_interval(
           secs => CASE WHEN end_told_at IS NULL
                        THEN run_at_most - least($2::float8, run_at_most / 2)
                        ELSE run_at_most END) <= now()
   AND (id, attempt) NOT IN (SELECT * FROM unnest($4::text[], $5::integer[]))
 ORDER BY placed_at
 LIMIT $3
);
