-- What some versions of models are made of.
-- $1 versions
SELECT id, definition FROM versions WHERE id = ANY ($1::text[]);
