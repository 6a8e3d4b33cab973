-- What is asked of jobs, as each router tells, and when those that nobody uses will be purged.

-- Written over and over by routers, of jobs that are scaled by it, and read by who scales them.
CREATE TABLE demands (
    router      text             NOT NULL, -- one process
    job         text             NOT NULL,
    inside      double precision NOT NULL, -- requests in hand, a mean of late
    waiting     double precision NOT NULL, -- ... and those that wait for a place
    turned_away double precision NOT NULL, -- a second
    seconds     double precision NOT NULL, -- that one takes; 0: not known yet
    busy_at     timestamptz, -- when it last had something in hand; null: never yet
    at          timestamptz      NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (router, job)
);

-- Of a job that was stopped or has finished; the scheduler writes it, any move takes it back.
ALTER TABLE jobs ADD COLUMN purge_at timestamptz;
CREATE INDEX jobs_to_purge ON jobs (target, purge_at NULLS FIRST)
    WHERE state IN ('stopped', 'finished') AND application IS NULL;
