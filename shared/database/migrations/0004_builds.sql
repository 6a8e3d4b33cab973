-- Builds that end for a reason and take turns, and what of theirs nobody needs any more.

ALTER TABLE versions
    ADD COLUMN troubles    integer     NOT NULL DEFAULT 0, -- tries that met trouble which may pass ...
    ADD COLUMN troubled_at timestamptz;                    -- ... and when the first of them did
CREATE INDEX versions_building_of_project ON versions (project) WHERE state = 'building';

-- When a builder last took something of an owner's: whoever waited longest is next.
CREATE TABLE build_turns (
    owner text        PRIMARY KEY REFERENCES owners (name),
    at    timestamptz NOT NULL
);

-- What is not used for long is forgotten, and then its blobs are.
ALTER TABLE layers ADD COLUMN used_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE uploads ADD COLUMN used_at timestamptz NOT NULL DEFAULT now();

-- Work that one process at a time does now and then.
CREATE TABLE chores (
    name    text        PRIMARY KEY,
    holder  text, -- who does it, while it is done
    next_at timestamptz NOT NULL -- when somebody may begin it, also if its holder died
);
