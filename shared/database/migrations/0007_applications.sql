-- Models with contracts, and applications made of their versions.

-- A model is a deployment of another kind: named, with versions that never change. What it runs as
-- is for applications to say.
ALTER TABLE deployments
    ADD COLUMN kind text NOT NULL DEFAULT 'deployment' CHECK (kind IN ('deployment', 'model')),
    DROP CONSTRAINT deployments_project_name_key,
    ADD UNIQUE (project, kind, name);

-- How servables run, by name. A servable keeps what was written here when it was made.
CREATE TABLE configurations (
    seq        bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    project    bigint      NOT NULL REFERENCES projects (seq),
    name       text        NOT NULL,
    body       jsonb       NOT NULL, -- shared.application.Configuration
    written    jsonb       NOT NULL, -- the resource as its owner wrote it
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, name)
);

CREATE TYPE application_state AS ENUM ('assembling', 'ready', 'failed', 'removed');

CREATE TABLE applications (
    seq        bigint            GENERATED ALWAYS AS IDENTITY UNIQUE,
    id         text              PRIMARY KEY,
    project    bigint            NOT NULL REFERENCES projects (seq),
    name       text              NOT NULL,
    target     text              NOT NULL,
    state      application_state NOT NULL DEFAULT 'assembling',
    reason     text              NOT NULL DEFAULT '',
    revision   integer           NOT NULL DEFAULT 1, -- the newest ...
    live       integer,                              -- ... and the one that answers
    created_at timestamptz       NOT NULL DEFAULT now(),
    changed_at timestamptz       NOT NULL DEFAULT now() -- of state, revision or live
);
-- Its address has no owner in it, so there is one of a name on the platform.
CREATE UNIQUE INDEX one_application_per_name ON applications (name) WHERE state <> 'removed';
CREATE INDEX applications_of_project ON applications (project, seq);
CREATE INDEX applications_of_target ON applications (target) WHERE state <> 'removed';

CREATE TABLE revisions (
    application text        NOT NULL REFERENCES applications (id),
    revision    integer     NOT NULL,
    graph       jsonb       NOT NULL, -- shared.application.Graph
    written     jsonb       NOT NULL, -- the resource as its owner wrote it
    created_at  timestamptz NOT NULL DEFAULT now(),
    retired_at  timestamptz, -- since when it neither answers nor will: its servables may stop
    PRIMARY KEY (application, revision)
);
CREATE INDEX revisions_in_use ON revisions (application, retired_at);

ALTER TABLE jobs
    ADD COLUMN servable      text, -- the name by which the gateway knows it, if it does
    ADD COLUMN application   text REFERENCES applications (id), -- that made it
    ADD COLUMN configuration jsonb NOT NULL DEFAULT '{}'; -- shared.application.Configuration
CREATE UNIQUE INDEX one_servable_per_name ON jobs (servable)
    WHERE servable IS NOT NULL AND state NOT IN ('terminated', 'purged');
CREATE INDEX jobs_of_application ON jobs (application) WHERE application IS NOT NULL;
CREATE INDEX servables_of_applications ON jobs (target)
    WHERE application IS NOT NULL AND state NOT IN ('terminated', 'purged');
