-- How an owner counts in the queue. No row: as every owner does.
-- $1 owner
SELECT owner, weight, highest, changed_at FROM allowances WHERE owner = $1;
