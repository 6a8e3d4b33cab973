-- Which of some blobs a project uploaded.
-- $1 project  $2 digests
SELECT digest, size FROM uploads WHERE project = $1 AND digest = ANY ($2::text[]);
