-- Jobs that run to an end, and what they leave behind.

-- What is kept of them is found without a look at all jobs.
CREATE INDEX jobs_with_outputs ON jobs (outputs) WHERE outputs IS NOT NULL;
