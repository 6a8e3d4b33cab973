-- $1 application  $2 revision  $3 graph  $4 as it was written
INSERT INTO revisions (application, revision, graph, written) VALUES ($1, $2, $3::jsonb, $4::jsonb);
