-- Take the lock that one session at a time can hold, for as long as it lives. False: another has it.
-- $1 name of the lock
SELECT pg_try_advisory_lock(hashtextextended($1, 0));
