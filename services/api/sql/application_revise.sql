-- A newer revision waits for its servables; the live one goes on answering.
-- $1 application  $2 revision
UPDATE applications
   SET revision = $2,
       state = 'assembling',
       reason = '',
       changed_at = now()
 WHERE id = $1;
