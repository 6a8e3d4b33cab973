-- A job that was told to give way need not any more.
-- $1 job  $2 attempt  $3 epoch (null: whoever acts)
UPDATE jobs
   SET give_way_at = NULL,
       give_way_to = NULL
 WHERE id = $1
   AND attempt = $2
   AND give_way_at IS NOT NULL
   AND ($3::bigint IS NULL
        OR EXISTS (SELECT FROM leaders
                    WHERE leaders.target = jobs.target AND leaders.epoch = $3 FOR SHARE));
