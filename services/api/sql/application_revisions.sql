-- Some revisions of an application.
-- $1 application  $2 revisions
SELECT revision, graph, written, created_at
  FROM revisions
 WHERE application = $1
   AND revision = ANY ($2::integer[]);
