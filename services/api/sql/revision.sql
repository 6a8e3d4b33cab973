-- $1 application  $2 revision
SELECT graph FROM revisions WHERE application = $1 AND revision = $2;
