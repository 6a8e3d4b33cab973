-- One at a time for the name of an application, whoever's it is, until the transaction ends.
-- $1 name
SELECT pg_advisory_xact_lock(hashtextextended($1, 2));
