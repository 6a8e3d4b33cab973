-- The first shape of the truth. `seq` columns order rows for cursors; ids are what people see.

CREATE TABLE owners (
    name       text        PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projects (
    seq        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner      text        NOT NULL REFERENCES owners (name),
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, name)
);

CREATE TABLE tokens (
    seq        bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    id         text        PRIMARY KEY,
    owner      text        NOT NULL REFERENCES owners (name),
    role       text        NOT NULL CHECK (role IN ('admin', 'write', 'read')),
    hash       bytea       NOT NULL UNIQUE, -- SHA-256 of the token, which is 256 bits of chance
    note       text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

-- Who may refer to which blob: knowing a hash is not a right to its content.
CREATE TABLE uploads (
    project    bigint      NOT NULL REFERENCES projects (seq),
    digest     text        NOT NULL,
    size       bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, digest)
);

CREATE TABLE deployments (
    seq        bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    id         text        PRIMARY KEY,
    project    bigint      NOT NULL REFERENCES projects (seq),
    name       text        NOT NULL,
    target     text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project, name)
);

CREATE TYPE version_state AS ENUM ('building', 'ready', 'failed');

CREATE TABLE versions (
    seq         bigint        GENERATED ALWAYS AS IDENTITY UNIQUE,
    id          text          PRIMARY KEY,
    project     bigint        NOT NULL REFERENCES projects (seq),
    deployment  text          REFERENCES deployments (id), -- null: the unnamed version of a lone endpoint
    name        text          NOT NULL,
    state       version_state NOT NULL DEFAULT 'building',
    definition  jsonb         NOT NULL, -- shared.endpoint.Definition
    images      jsonb         NOT NULL DEFAULT '{}', -- endpoint -> manifest digest
    notes       text[]        NOT NULL DEFAULT '{}', -- what its owner should know about the images
    reason      text          NOT NULL DEFAULT '',
    lease       text,         -- which builder works on it ...
    lease_until timestamptz,  -- ... and until when nobody else may
    claims      integer       NOT NULL DEFAULT 0, -- builders that took it and did not give it back
    errors      integer       NOT NULL DEFAULT 0, -- builds that ended in an error of our own
    created_at  timestamptz   NOT NULL DEFAULT now(),
    changed_at  timestamptz   NOT NULL DEFAULT now(),
    UNIQUE (deployment, name)
);
CREATE INDEX versions_to_build ON versions (seq) WHERE state = 'building';
CREATE INDEX versions_of_deployment ON versions (deployment, seq);

-- Layers that were built before, by what they were built from. A layer whose blob is gone is built
-- again, so the table may be emptied at any time.
CREATE TABLE layers (
    key        text        PRIMARY KEY,
    digest     text        NOT NULL,
    size       bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TYPE job_state AS ENUM (
    'submitted', 'building', 'queued', 'starting', 'running', 'stopping',
    'stopped', 'finished', 'failed', 'terminated', 'purged'
);

CREATE TABLE jobs (
    seq        bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    id         text        PRIMARY KEY,
    project    bigint      NOT NULL REFERENCES projects (seq),
    kind       text        NOT NULL DEFAULT 'endpoint' CHECK (kind IN ('endpoint', 'batch')),
    name       text        NOT NULL,
    version    text        NOT NULL REFERENCES versions (id),
    endpoint   text        NOT NULL,
    target     text        NOT NULL,
    gpu_types  text[]      NOT NULL DEFAULT '{}',
    gpu_count  integer     NOT NULL DEFAULT 0 CHECK (gpu_count >= 0),
    state      job_state   NOT NULL DEFAULT 'submitted',
    attempt    integer     NOT NULL DEFAULT 1 CHECK (attempt > 0),
    reason     text        NOT NULL DEFAULT '', -- why it waits, or why it failed
    address    text,       -- while running
    restarts   integer     NOT NULL DEFAULT 0, -- of the present attempt's server
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(), -- of state
    queued_at  timestamptz -- its place in the queue
);
-- A name is free again when its job is gone for good.
CREATE UNIQUE INDEX one_job_per_name ON jobs (project, name)
    WHERE state NOT IN ('terminated', 'purged');
CREATE INDEX jobs_of_version ON jobs (version);
CREATE INDEX jobs_of_project ON jobs (project, seq);
CREATE INDEX jobs_in_queue ON jobs (target, queued_at, seq) WHERE state = 'queued';
CREATE INDEX jobs_at_work ON jobs (target) WHERE state IN ('starting', 'running', 'stopping');

CREATE TABLE gpus (
    id      text    PRIMARY KEY, -- `<target>/<uuid or type and number>`
    target  text    NOT NULL,
    type    text    NOT NULL,
    device  text    NOT NULL, -- what CUDA_VISIBLE_DEVICES is set to
    memory  bigint  NOT NULL DEFAULT 0, -- bytes
    present boolean NOT NULL DEFAULT true,
    price   double precision NOT NULL DEFAULT 0 -- per hour
);

CREATE TABLE allocations (
    seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gpu         text        NOT NULL REFERENCES gpus (id),
    job         text        NOT NULL REFERENCES jobs (id),
    attempt     integer     NOT NULL,
    held_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz CHECK (released_at >= held_at)
);
-- No program can give a GPU twice, whatever it believes.
CREATE UNIQUE INDEX one_holder_per_gpu ON allocations (gpu) WHERE released_at IS NULL;
CREATE INDEX allocations_of_job ON allocations (job);

CREATE TABLE aliases (
    deployment text        NOT NULL REFERENCES deployments (id),
    name       text        NOT NULL,
    version    text        NOT NULL REFERENCES versions (id),
    revision   integer     NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (deployment, name)
);

CREATE TABLE alias_moves (
    deployment text        NOT NULL,
    name       text        NOT NULL,
    revision   integer     NOT NULL,
    version    text        NOT NULL REFERENCES versions (id),
    moved_by   text        NOT NULL,
    moved_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (deployment, name, revision)
);

-- The event log, which is the outbox as well. A row is written in the transaction of the change.
-- `seq` is given when a row is written and may become visible out of order; `position` is given
-- by one relay at a time after the row is visible, so a reader that follows it misses nothing.
CREATE TABLE events (
    seq          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           uuid        NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    type         text        NOT NULL,
    project      bigint      REFERENCES projects (seq), -- null: about the platform itself
    source       text        NOT NULL,
    subject      text        NOT NULL,
    time         timestamptz NOT NULL DEFAULT clock_timestamp(),
    data         jsonb       NOT NULL,
    position     bigint      UNIQUE,
    announced_at timestamptz
);
CREATE INDEX events_without_position ON events (seq) WHERE position IS NULL;
CREATE INDEX events_to_announce ON events (position) WHERE announced_at IS NULL;
CREATE INDEX events_of_project ON events (project, position);
CREATE SEQUENCE event_positions OWNED BY events.position;

CREATE FUNCTION wake_relay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('events', '');
    RETURN NULL;
END $$;
CREATE TRIGGER events_written AFTER INSERT ON events
    FOR EACH STATEMENT EXECUTE FUNCTION wake_relay();

-- Lines that jobs and builds print. `subject` is a job's or a version's id. Whoever ships lines
-- numbers them, so shipping a line twice keeps one.
CREATE TABLE logs (
    subject text        NOT NULL,
    attempt integer     NOT NULL,
    line    bigint      NOT NULL,
    at      timestamptz NOT NULL,
    stream  text        NOT NULL CHECK (stream IN ('stdout', 'stderr', 'platform')),
    text    text        NOT NULL,
    PRIMARY KEY (subject, attempt, line)
);

-- Answers to requests that carried an Idempotency-Key, kept for a day.
CREATE TABLE answers (
    owner      text        NOT NULL,
    key        text        NOT NULL,
    request    bytea       NOT NULL, -- SHA-256 of method, path and body
    status     integer     NOT NULL,
    body       bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, key)
);
