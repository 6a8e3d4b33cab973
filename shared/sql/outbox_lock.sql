-- Whether the transaction may act on the outbox; another relay does otherwise. Ends with it.
-- $1 which part of the work
SELECT pg_try_advisory_xact_lock(7225477, $1::integer);
