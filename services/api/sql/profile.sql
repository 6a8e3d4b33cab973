-- What is known of the fields of a version: of its training data, and of the last day's traffic.
-- $1 version
SELECT field,
       (SELECT summary FROM profiles
         WHERE version = $1 AND source = 'training' AND field = known.field) AS training,
       (SELECT summary FROM profiles
         WHERE version = $1 AND source = 'recent' AND field = known.field) AS traffic,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'metric', metric, 'value', value, 'threshold', threshold,
                   'drifted', drifted, 'since', since) ORDER BY metric), '[]')
          FROM drifts WHERE version = $1 AND field = known.field) AS distances
  FROM (SELECT DISTINCT field FROM profiles WHERE version = $1 AND source <> 'traffic') AS known
 ORDER BY field;
