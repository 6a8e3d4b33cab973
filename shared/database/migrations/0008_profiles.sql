-- What models are asked and answer, compared with what they were trained on.

-- Some of the traffic, until it is counted in.
CREATE TABLE samples (
    seq     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version text        NOT NULL REFERENCES versions (id),
    at      timestamptz NOT NULL DEFAULT now(),
    body    bytea       NOT NULL -- shared.sample.Sample
);

-- Training data that is read once, after its version is ready.
CREATE TYPE training_state AS ENUM ('waiting', 'ready', 'failed');
CREATE TABLE trainings (
    version     text           PRIMARY KEY REFERENCES versions (id),
    state       training_state NOT NULL DEFAULT 'waiting',
    rows        bigint         NOT NULL DEFAULT 0,
    notes       text[]         NOT NULL DEFAULT '{}', -- what of it could not be used, and why
    reason      text           NOT NULL DEFAULT '',
    lease_until timestamptz,   -- until when nobody else may read it
    tries       integer        NOT NULL DEFAULT 0,
    changed_at  timestamptz    NOT NULL DEFAULT now()
);
CREATE INDEX trainings_to_read ON trainings (version) WHERE state = 'waiting';
CREATE INDEX versions_with_training ON versions (seq)
    WHERE state = 'ready' AND definition ? 'training';

-- Of each field: all of the training data, traffic by the hour, and that of the last day together.
CREATE TABLE profiles (
    version    text        NOT NULL REFERENCES versions (id),
    field      text        NOT NULL, -- `inputs.age`
    source     text        NOT NULL CHECK (source IN ('training', 'traffic', 'recent')),
    hour       timestamptz NOT NULL, -- of traffic; '-infinity' for what is of no hour
    sketch     bytea       NOT NULL, -- by services/builder/profiles
    summary    jsonb       NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (version, field, source, hour)
);

-- How far the traffic of late is from the training data.
CREATE TABLE drifts (
    version    text             NOT NULL REFERENCES versions (id),
    field      text             NOT NULL,
    metric     text             NOT NULL,
    value      double precision NOT NULL,
    threshold  double precision NOT NULL,
    drifted    boolean          NOT NULL, -- value > threshold
    rows       bigint           NOT NULL, -- of traffic that was compared
    since      timestamptz      NOT NULL DEFAULT now(), -- of `drifted`
    changed_at timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (version, field, metric)
);
