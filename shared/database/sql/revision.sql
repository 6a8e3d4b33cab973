-- $1 application  $2 revision
SELECT application, revision, graph, written, created_at, retired_at
  FROM revisions
 WHERE application = $1
   AND revision = $2;
