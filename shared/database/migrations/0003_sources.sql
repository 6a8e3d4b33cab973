-- Code that the platform fetches itself. Once ready it is an upload of its project like any other.

CREATE TYPE source_state AS ENUM ('fetching', 'ready', 'failed');

CREATE TABLE sources (
    seq         bigint       GENERATED ALWAYS AS IDENTITY UNIQUE,
    id          text         PRIMARY KEY,
    project     bigint       NOT NULL REFERENCES projects (seq),
    url         text         NOT NULL, -- without credentials
    ref         text         NOT NULL, -- as it was asked for
    path        text         NOT NULL DEFAULT '', -- the folder of the repository that is the code
    state       source_state NOT NULL DEFAULT 'fetching',
    digest      text,        -- of its archive ...
    size        bigint,      -- ... and the bytes of that
    commit      text,        -- what the ref was
    notes       text[]       NOT NULL DEFAULT '{}', -- what its owner should know about the code
    reason      text         NOT NULL DEFAULT '',
    lease       text,        -- which builder fetches it ...
    lease_until timestamptz, -- ... and until when nobody else may
    claims      integer      NOT NULL DEFAULT 0, -- builders that took it and did not give it back
    errors      integer      NOT NULL DEFAULT 0, -- tries that met trouble
    created_at  timestamptz  NOT NULL DEFAULT now(),
    changed_at  timestamptz  NOT NULL DEFAULT now(),
    CHECK ((state = 'ready') = (digest IS NOT NULL AND size IS NOT NULL AND commit IS NOT NULL))
);
CREATE INDEX sources_to_fetch ON sources (seq) WHERE state = 'fetching';
CREATE INDEX sources_of_project ON sources (project, seq);
CREATE INDEX sources_by_digest ON sources (project, digest, seq) WHERE state = 'ready';
