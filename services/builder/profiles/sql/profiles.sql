-- What is known of a version from one source since some hour, field by field.
-- $1 version  $2 source  $3 since
SELECT field, hour, sketch
  FROM profiles
 WHERE version = $1
   AND source = $2
   AND hour >= $3
 ORDER BY field, hour;
