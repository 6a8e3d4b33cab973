-- Jobs in pages, whatever they are chosen by, and how long those waited that have their place.

CREATE INDEX jobs_by_state ON jobs (state, seq);
CREATE INDEX jobs_of_owner ON jobs (owner, state, seq);
DROP INDEX jobs_of_project;
CREATE INDEX jobs_of_project ON jobs (project, state, seq);
CREATE INDEX servables_of_project ON jobs (project, seq) WHERE servable IS NOT NULL;
CREATE INDEX jobs_by_name ON jobs (name, seq);

CREATE INDEX jobs_placed ON jobs (target, placed_at) WHERE placed_at IS NOT NULL AND gpu_count > 0;
