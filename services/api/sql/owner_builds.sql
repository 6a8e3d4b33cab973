-- How many of an owner's versions wait to be built or are being built, as far as it matters.
-- $1 owner  $2 count no further than this
SELECT count(*)
  FROM (SELECT
          FROM projects
          JOIN versions ON versions.project = projects.seq AND versions.state = 'building'
         WHERE projects.owner = $1
         LIMIT $2) AS found;
