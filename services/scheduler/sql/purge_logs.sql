-- Forget what these jobs printed, those of a target that are terminated or purged.
-- $1 target  $2 jobs
DELETE FROM logs
 WHERE subject = ANY (ARRAY(
           SELECT id
             FROM jobs
            WHERE id = ANY ($2::text[])
              AND target = $1
              AND state IN ('terminated', 'purged')
       ));
