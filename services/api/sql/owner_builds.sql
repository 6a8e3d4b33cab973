-- How many of an owner's versions wait, who is held until the transaction ends.
-- $1 owner  $2 count no further than this
SELECT builds_waiting($1, $2);
