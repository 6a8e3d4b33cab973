-- Of each owner the first that need no GPU, without a look at others': who may start nothing for now
-- is not to stand before everybody.
DROP INDEX jobs_without_gpus;
CREATE INDEX jobs_without_gpus ON jobs (target, owner, queued_at, seq)
    WHERE state = 'queued' AND gpu_count = 0;
