-- How many of an owner's versions wait, when the transaction has it for itself until its end.
-- $1 owner  $2 count no further than this
SELECT CASE WHEN claim($1, true) THEN builds_waiting($1, $2) END;
