-- Whether a version of the project has an image, or is being built and may come to have it.
-- $1 project  $2 digest
SELECT EXISTS (
    SELECT FROM versions
     WHERE project = $1
       AND (state = 'building' OR (state = 'ready' AND images::text LIKE '%' || $2::text || '%'))
);
