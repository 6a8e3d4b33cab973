-- What holding GPUs costs whom, and how much of that an owner may spend in a month.

-- Whose bill it is on stands beside what was held, so that a month of one owner's is read by itself.
ALTER TABLE allocations ADD COLUMN owner text NOT NULL DEFAULT '';
UPDATE allocations SET owner = jobs.owner FROM jobs WHERE jobs.id = allocations.job;
CREATE INDEX allocations_of_owner ON allocations (owner, released_at);

-- Whoever gives GPUs, of whichever release.
CREATE FUNCTION own_allocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.owner := (SELECT owner FROM jobs WHERE id = NEW.job);
    RETURN NEW;
END $$;
CREATE TRIGGER allocations_owned BEFORE INSERT ON allocations
    FOR EACH ROW WHEN (NEW.owner = '') EXECUTE FUNCTION own_allocation();

CREATE TABLE budgets (
    owner      text               PRIMARY KEY REFERENCES owners (name),
    monthly    double precision   NOT NULL CHECK (monthly >= 0), -- by the calendar, in UTC
    warn       double precision[] NOT NULL DEFAULT '{}', -- parts of it that are told when they are spent
    hold       boolean            NOT NULL DEFAULT true, -- nothing more starts once it is spent
    month      date               NOT NULL DEFAULT '-infinity', -- that the next two are of: its first day
    told       double precision[] NOT NULL DEFAULT '{}', -- parts that were told; 1 is all of it
    reached    boolean            NOT NULL DEFAULT false,
    revision   bigint             NOT NULL DEFAULT 1, -- how often any of this was written
    changed_at timestamptz        NOT NULL DEFAULT now() -- by a person
);
