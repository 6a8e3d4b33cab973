-- Keep some requests and answers until they are counted in. Not those of versions that are gone, and
-- none while nobody counts, or not as fast as they come.
-- $1 versions  $2 bodies  $3 seconds for which the oldest may have waited. How many are kept.
WITH kept AS (
    INSERT INTO samples (version, body)
    SELECT given.version, given.body
      FROM unnest($1::text[], $2::bytea[]) AS given (version, body)
      JOIN versions ON versions.id = given.version
     WHERE coalesce(
               (SELECT at FROM samples ORDER BY seq LIMIT 1)
                   > clock_timestamp() - make_interval(secs => $3),
               true)
    RETURNING 1
)
SELECT count(*) FROM kept;
