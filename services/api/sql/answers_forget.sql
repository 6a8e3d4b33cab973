-- Answers are kept for a day.
DELETE FROM answers WHERE created_at < now() - interval '1 day';
