-- $1 project  $2 name  $3 how servables run  $4 as it was written
UPDATE configurations
   SET body = $3::jsonb,
       written = $4::jsonb,
       changed_at = now()
 WHERE project = $1
   AND name = $2;
