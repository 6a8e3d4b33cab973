-- Have an owner for oneself, among those who submit, until the transaction ends.
-- $1 owner
SELECT claim($1, true);
