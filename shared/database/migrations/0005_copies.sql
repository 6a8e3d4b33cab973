-- A job may run as several copies, on targets of several machines.

ALTER TABLE jobs
    ADD COLUMN addresses text[]  NOT NULL DEFAULT '{}', -- while running; `address` is the first of them
    ADD COLUMN copies    integer NOT NULL DEFAULT 1 CHECK (copies >= 0),  -- that its owner wants ...
    ADD COLUMN granted   integer NOT NULL DEFAULT 1 CHECK (granted >= 0), -- ... and that may run now
    ADD COLUMN held      integer NOT NULL DEFAULT 0, -- that hold GPUs: also those that are to end
    ADD COLUMN scaled_at timestamptz; -- when it was to have more than before: their place in the queue
UPDATE jobs SET addresses = ARRAY[address] WHERE address IS NOT NULL;
UPDATE jobs SET held = 1 WHERE gpu_count > 0 AND state IN ('starting', 'running', 'stopping');

ALTER TABLE allocations ADD COLUMN copy integer NOT NULL DEFAULT 0; -- which copy of the job holds it

ALTER TABLE gpus ADD COLUMN node text NOT NULL DEFAULT ''; -- the machine that it is in

-- Where a line came from, and how far that was read: whoever ships lines next goes on from there.
ALTER TABLE logs
    ADD COLUMN source text NOT NULL DEFAULT '',
    ADD COLUMN stamp  text NOT NULL DEFAULT '';
