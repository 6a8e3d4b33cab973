-- GPUs whose machine says how they are, and what holds their memory.

ALTER TABLE gpus
    ADD COLUMN checked        boolean NOT NULL DEFAULT false, -- whether its machine says so
    ADD COLUMN unproven       boolean NOT NULL DEFAULT false, -- released, and not looked at since
    ADD COLUMN quarantined_at timestamptz; -- when the present quarantine began

-- What was released is proven free before it is given again, whoever releases it: the processes are
-- gone, and their memory may not be.
CREATE FUNCTION doubt_gpu() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gpus SET unproven = true WHERE id = NEW.gpu AND checked;
    RETURN NULL;
END $$;
CREATE TRIGGER allocations_released AFTER UPDATE OF released_at ON allocations FOR EACH ROW
    WHEN (OLD.released_at IS NULL AND NEW.released_at IS NOT NULL) EXECUTE FUNCTION doubt_gpu();
