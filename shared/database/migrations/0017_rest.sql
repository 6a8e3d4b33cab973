-- What those are read by that rest or are over: of them there are ever more.

-- Those whose owners are yet to be told that they will be purged.
CREATE INDEX jobs_to_warn ON jobs (target, purge_at)
    WHERE state IN ('stopped', 'finished') AND application IS NULL AND purge_told_at IS NULL;

-- Of what is over the lines are forgotten, once.
ALTER TABLE jobs ADD COLUMN swept boolean NOT NULL DEFAULT false;
CREATE INDEX jobs_to_sweep ON jobs (target, changed_at)
    WHERE state IN ('terminated', 'purged') AND NOT swept;
