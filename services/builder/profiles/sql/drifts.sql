-- How far fields are that were compared of late, the farthest first.
-- $1 how many
SELECT projects.owner || '/' || projects.name AS project, deployments.name AS model,
       versions.name AS version, drifts.field, drifts.metric, drifts.value, drifts.threshold
  FROM drifts
  JOIN versions ON versions.id = drifts.version
  JOIN deployments ON deployments.id = versions.deployment
  JOIN projects ON projects.seq = versions.project
 WHERE drifts.changed_at > now() - interval '24 hours'
 ORDER BY drifts.value / greatest(drifts.threshold, 1e-9) DESC, drifts.version, drifts.field
 LIMIT $1;
