-- Jobs that run to an end, and what they leave behind.

-- When somebody last took what it left, which is then kept for longer.
ALTER TABLE jobs ADD COLUMN used_at timestamptz;

-- What is kept of them is found without a look at all jobs.
CREATE INDEX jobs_with_outputs ON jobs (outputs) WHERE outputs IS NOT NULL;
