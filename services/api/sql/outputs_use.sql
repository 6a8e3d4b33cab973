-- Somebody takes what a batch job left: when it is purged is to be said anew.
-- $1 job
UPDATE jobs
   SET used_at = now(),
       purge_at = NULL,
       purge_told_at = NULL
 WHERE id = $1
   AND state = 'finished';
