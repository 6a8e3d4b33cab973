-- The position of the newest fact that has one.
SELECT coalesce(max(position), 0) FROM events;
