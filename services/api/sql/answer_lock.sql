-- One at a time for one Idempotency-Key of one owner, until the transaction ends.
-- $1 owner and key
SELECT pg_advisory_xact_lock(hashtextextended($1, 1));
