-- Hold an application until the transaction ends: what is decided about its revisions stays true.
-- $1 application
SELECT FROM applications WHERE id = $1 FOR UPDATE;
