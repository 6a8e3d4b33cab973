-- Keep some requests and answers until they are counted in. Not those of versions that are gone.
-- $1 versions  $2 bodies
INSERT INTO samples (version, body)
SELECT given.version, given.body
  FROM unnest($1::text[], $2::bytea[]) AS given (version, body)
  JOIN versions ON versions.id = given.version;
