-- $1 application  $2 revision
SELECT graph, retired_at FROM revisions WHERE application = $1 AND revision = $2;
