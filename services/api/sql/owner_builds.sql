-- How many of an owner's versions wait to be built or are being built.
-- $1 owner
SELECT count(*)
  FROM projects
  JOIN versions ON versions.project = projects.seq AND versions.state = 'building'
 WHERE projects.owner = $1;
