-- What the queue is read by, and what is remembered of those who have to end.

-- Jobs of one wish are after the same GPUs. There are 64 of them for each owner and class, so
-- that nobody can have more first jobs than that: wishes that differ may share a number.
ALTER TABLE jobs
    ADD COLUMN wish smallint GENERATED ALWAYS AS (
        (hash_array(gpu_types) # hashint4(gpu_count) # hashint4(copies)
         # hashfloat8(coalesce(max_price, -1))) & 63) STORED,
    ADD COLUMN give_way_to text, -- the job that it was warned for
    ADD COLUMN end_told_at timestamptz; -- when its owner was told that the present attempt must end

-- The price at most was found in its version alone until now; whoever inserts an endpoint's job, of
-- whichever release, has it beside the job from here on.
CREATE FUNCTION priced(version text, endpoint text) RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT (given -> 'gpus' ->> 'max_price')::float8
      FROM versions, jsonb_array_elements(versions.definition -> 'endpoints') AS given
     WHERE versions.id = priced.version
       AND given ->> 'name' = priced.endpoint
     LIMIT 1
$$;
CREATE OR REPLACE FUNCTION own_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.owner := (SELECT owner FROM projects WHERE seq = NEW.project);
    IF NEW.max_price IS NULL AND NEW.gpu_count > 0 AND NEW.kind = 'endpoint' THEN
        NEW.max_price := priced(NEW.version, NEW.endpoint);
    END IF;
    RETURN NEW;
END $$;
-- Who says whose it is has said all: the trigger is for others, and takes a tenth of an insert.
CREATE OR REPLACE TRIGGER jobs_owned BEFORE INSERT ON jobs
    FOR EACH ROW WHEN (NEW.owner = '') EXECUTE FUNCTION own_job();
UPDATE jobs
   SET max_price = priced(version, endpoint)
 WHERE gpu_count > 0
   AND state NOT IN ('terminated', 'purged');

-- The first of each owner's, class by class and wish by wish, and of those that need no GPU.
DROP INDEX jobs_in_turn;
CREATE INDEX jobs_in_turn ON jobs (target, owner, priority DESC, wish, queued_at, seq)
    WHERE state = 'queued' AND gpu_count > 0;
CREATE INDEX jobs_without_gpus ON jobs (target, queued_at, seq)
    WHERE state = 'queued' AND gpu_count = 0;
CREATE INDEX jobs_that_grow ON jobs (target)
    WHERE state IN ('starting', 'running') AND copies > granted;

-- Those that something is due for: they must start, give way, or end.
CREATE INDEX jobs_to_start ON jobs (target, start_by)
    WHERE state IN ('submitted', 'building', 'queued') AND placed_at IS NULL AND start_by IS NOT NULL;
CREATE INDEX jobs_to_give_way ON jobs (target, give_way_at)
    WHERE state IN ('starting', 'running') AND give_way_at IS NOT NULL;
CREATE INDEX jobs_to_end ON jobs (target, placed_at)
    WHERE state IN ('starting', 'running') AND run_at_most IS NOT NULL;
