-- Who frees GPUs of copies that ended must know that nobody let them run again meanwhile.

ALTER TABLE jobs
    ADD COLUMN grants integer NOT NULL DEFAULT 0; -- how often `granted` was set anew in its life
