-- Give a version its training data, unless it has some; what it has then.
-- $1 version  $2 the data
UPDATE versions
   SET definition = jsonb_build_object('training', $2::jsonb) || definition
 WHERE id = $1
RETURNING definition -> 'training';
