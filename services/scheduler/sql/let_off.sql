-- Jobs that were told to give way need not any more.
-- $1 jobs  $2 epoch (null: whoever acts)
UPDATE jobs
   SET give_way_at = NULL,
       give_way_to = NULL
 WHERE id = ANY ($1::text[])
   AND give_way_at IS NOT NULL
   AND ($2::bigint IS NULL
        OR EXISTS (SELECT FROM leaders
                    WHERE leaders.target = jobs.target AND leaders.epoch = $2 FOR SHARE));
