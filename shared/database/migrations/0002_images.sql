-- Where a version's images were pushed to, and what each was made of.

ALTER TABLE versions
    ADD COLUMN repository text  NOT NULL DEFAULT '', -- `registry/name`; empty: the blob store alone
    ADD COLUMN record     jsonb NOT NULL DEFAULT '{}'; -- endpoint -> shared.image.Record
