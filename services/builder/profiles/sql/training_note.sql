-- Write down which versions have training data that nobody knows yet.
INSERT INTO trainings (version)
SELECT id
  FROM versions
 WHERE state = 'ready'
   AND definition ? 'training'
   AND NOT EXISTS (SELECT FROM trainings WHERE trainings.version = versions.id)
    ON CONFLICT DO NOTHING;
