-- Every application that is not removed, with the revision that answers and the contracts of the
-- model versions in it.
-- $1 only these applications (by id); all when null
SELECT applications.id, applications.name, applications.state, applications.reason,
       applications.live AS revision, revisions.graph, coalesce(used.contracts, '{}') AS contracts
  FROM applications
  LEFT JOIN revisions
    ON revisions.application = applications.id AND revisions.revision = applications.live
 CROSS JOIN LATERAL (
       SELECT jsonb_object_agg(
                  versions.id, versions.definition #> '{endpoints,0,entry,contract}') AS contracts
         FROM jsonb_path_query(revisions.graph, '$.stages[*].variants[*].version') AS version
         JOIN versions ON versions.id = version #>> '{}'
       ) AS used
 WHERE applications.state <> 'removed'
   AND ($1::text[] IS NULL OR applications.id = ANY ($1::text[]));
