-- How a version is, and stays until the transaction ends: its builder moves on the jobs that it
-- finds, so one that is made later has to be moved on by whoever makes it.
-- $1 version
SELECT state, reason FROM versions WHERE id = $1 FOR SHARE;
