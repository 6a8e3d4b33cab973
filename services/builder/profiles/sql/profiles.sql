-- What is known of a version from one source of some hours, field by field.
-- $1 version  $2 source  $3 since  $4 until, both included
SELECT field, hour, sketch
  FROM profiles
 WHERE version = $1
   AND source = $2
   AND hour BETWEEN $3 AND $4
 ORDER BY field, hour;
