-- Let an owner spend as much as it likes.
-- $1 owner
DELETE FROM budgets WHERE owner = $1 RETURNING owner;
