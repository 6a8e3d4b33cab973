-- Sources, newest first.
-- $1 project  $2 source (null: any)  $3 before this seq (null: from the newest)  $4 how many
SELECT sources.seq, sources.id, projects.owner, projects.name AS project, url, ref, path, state,
       reason, commit, digest, size, notes, sources.created_at, changed_at
  FROM sources
  JOIN projects ON projects.seq = sources.project
 WHERE sources.project = $1
   AND ($2::text IS NULL OR sources.id = $2)
   AND ($3::bigint IS NULL OR sources.seq < $3)
 ORDER BY sources.seq DESC
 LIMIT $4;
