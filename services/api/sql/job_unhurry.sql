-- Take the time by which a job has to start from it: that was of its submission.
-- $1 job
UPDATE jobs SET start_by = NULL WHERE id = $1;
