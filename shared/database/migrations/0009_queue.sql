-- A fair queue with quotas, what holding GPUs costs, and jobs that run to an end.

ALTER TABLE jobs
    ADD COLUMN owner         text NOT NULL DEFAULT '', -- of its project
    ADD COLUMN priority      smallint NOT NULL DEFAULT 0, -- shared.endpoint.PRIORITIES
    ADD COLUMN preemptible   boolean  NOT NULL DEFAULT false, -- whether it may have to give way ...
    ADD COLUMN give_way_at   timestamptz, -- ... and when it has to, once it was warned
    ADD COLUMN gang          boolean  NOT NULL DEFAULT false, -- all its copies start at once, or none
    ADD COLUMN max_price     double precision, -- per GPU and hour
    ADD COLUMN start_by      timestamptz, -- else it fails
    ADD COLUMN run_at_most   double precision CHECK (run_at_most > 0), -- seconds of an attempt
    ADD COLUMN placed_at     timestamptz, -- when the present attempt was given its place
    ADD COLUMN waits         jsonb NOT NULL DEFAULT '{}', -- shared.waits.Waits, as `reason` but in parts
    ADD COLUMN purge_told_at timestamptz, -- when its owner was told that it will be purged
    -- what runs to an end
    ADD COLUMN run           jsonb, -- shared.endpoint.Run; null for an endpoint
    ADD COLUMN series        text, -- the id of the array that it is of ...
    ADD COLUMN place         integer, -- ... and its place in that, from 0
    ADD COLUMN retries       integer NOT NULL DEFAULT 0 CHECK (retries >= 0), -- that are left
    ADD COLUMN exit_code     integer,
    ADD COLUMN outputs       text, -- digest of the archive of what it made
    ADD COLUMN outputs_size  bigint;
UPDATE jobs SET owner = projects.owner FROM projects WHERE projects.seq = jobs.project;

-- Whoever inserts a job, of whichever release: it has its owner beside it, for the queue to be read by.
CREATE FUNCTION own_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.owner := (SELECT owner FROM projects WHERE seq = NEW.project);
    RETURN NEW;
END $$;
CREATE TRIGGER jobs_owned BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION own_job();

-- The first of each owner's, class by class, are found without looking at those behind them.
CREATE INDEX jobs_in_turn ON jobs (target, owner, priority DESC, queued_at, seq) WHERE state = 'queued';
CREATE INDEX jobs_of_series ON jobs (series, place) WHERE series IS NOT NULL;

-- What an hour of the GPU cost when it was given: a price that changes later changes no bill.
ALTER TABLE allocations ADD COLUMN price double precision NOT NULL DEFAULT 0;
UPDATE allocations SET price = gpus.price FROM gpus WHERE gpus.id = allocations.gpu;
CREATE INDEX allocations_by_end ON allocations (released_at);

-- A GPU may be there and not to be trusted.
ALTER TABLE gpus ADD COLUMN quarantine text NOT NULL DEFAULT ''; -- why it is given to nobody

-- What an owner may have of a target: so much of it always, and so much more that others leave unused.
CREATE TABLE quotas (
    owner      text        NOT NULL REFERENCES owners (name),
    target     text        NOT NULL,
    gpu_type   text        NOT NULL, -- '*': of all types together
    cohort     text        NOT NULL DEFAULT '', -- among whom what is unused is lent
    nominal    integer     NOT NULL CHECK (nominal >= 0),
    borrow     integer     CHECK (borrow >= 0), -- null: as much as there is
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, target, gpu_type)
);

-- How an owner counts in the queue. Who has no row counts as one with these defaults.
CREATE TABLE allowances (
    owner      text             PRIMARY KEY REFERENCES owners (name),
    weight     double precision NOT NULL DEFAULT 1 CHECK (weight > 0), -- its part of what is shared
    highest    smallint         NOT NULL DEFAULT 0, -- priority that it may ask for
    changed_at timestamptz      NOT NULL DEFAULT now()
);

-- Who acts for a target: what an earlier epoch's still has in hand is refused where it is written.
CREATE TABLE leaders (
    target   text        PRIMARY KEY,
    epoch    bigint      NOT NULL DEFAULT 0,
    holder   text        NOT NULL DEFAULT '', -- for a person
    taken_at timestamptz NOT NULL DEFAULT now()
);
