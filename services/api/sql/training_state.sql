-- What became of a version's training data. Null: it has none.
-- $1 version
SELECT coalesce(trainings.state::text, CASE WHEN definition ? 'training' THEN 'waiting' END)
  FROM versions
  LEFT JOIN trainings ON trainings.version = versions.id
 WHERE versions.id = $1;
