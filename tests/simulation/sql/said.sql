-- The event log.
SELECT type, subject, data, time FROM events ORDER BY seq;
