-- Jobs, newest first, with what people want to see of them. Only one of the first parts looks at
-- rows: that whose index finds what is chosen by, so that a page costs the same among a million.
-- Each state is read by itself. That it is the one is said in two comparisons: by an equality the
-- planner could do without the index that has the state, and pass all rows of others.
-- $1 job (null: any)  $2 owner (null: any)  $3 project (null: any)  $4 state (null: any)
-- $5 name (null: any)  $6 before this seq (null: from the newest)  $7 how many
WITH states AS (
    SELECT unnest(CASE WHEN $4::job_state IS NULL THEN enum_range(NULL::job_state)
                       ELSE ARRAY[$4::job_state] END) AS state
), named AS (
    SELECT seq
      FROM jobs
     WHERE $1::text IS NOT NULL
       AND id = $1
       AND ($2::text IS NULL OR owner = $2)
    UNION ALL
    (
    SELECT seq
      FROM jobs
     WHERE $1::text IS NULL
       AND $5::text IS NOT NULL
       AND name = $5
       AND seq < coalesce($6::bigint, 9223372036854775807)
       AND ($2::text IS NULL OR owner = $2)
       AND ($3::bigint IS NULL OR project = $3)
       AND ($4::job_state IS NULL OR state = $4)
     ORDER BY seq DESC
     LIMIT $7
    )
), of_project AS (
    SELECT found.seq
      FROM states,
           LATERAL (SELECT seq
                      FROM jobs
                     WHERE jobs.project = $3
                       AND jobs.state >= states.state
                       AND (jobs.state, seq)
                           < (states.state, coalesce($6::bigint, 9223372036854775807))
                     ORDER BY jobs.state DESC, seq DESC
                     LIMIT least($7::bigint, 1001)) AS found
     WHERE $1::text IS NULL
       AND $5::text IS NULL
       AND $3::bigint IS NOT NULL
       AND ($2::text IS NULL OR EXISTS (SELECT FROM projects WHERE seq = $3 AND owner = $2))
     LIMIT 11011
), of_owner AS (
    SELECT found.seq
      FROM states,
           LATERAL (SELECT seq
                      FROM jobs
                     WHERE jobs.owner = $2
                       AND jobs.state >= states.state
                       AND (jobs.state, seq)
                           < (states.state, coalesce($6::bigint, 9223372036854775807))
                     ORDER BY jobs.state DESC, seq DESC
                     LIMIT least($7::bigint, 1001)) AS found
     WHERE $1::text IS NULL
       AND $5::text IS NULL
       AND $3::bigint IS NULL
       AND $2::text IS NOT NULL
     LIMIT 11011
), of_all AS (
    SELECT found.seq
      FROM states,
           LATERAL (SELECT seq
                      FROM jobs
                     WHERE jobs.state >= states.state
                       AND (jobs.state, seq)
                           < (states.state, coalesce($6::bigint, 9223372036854775807))
                     ORDER BY jobs.state DESC, seq DESC
                     LIMIT least($7::bigint, 1001)) AS found
     WHERE $1::text IS NULL
       AND $5::text IS NULL
       AND $3::bigint IS NULL
       AND $2::text IS NULL
     LIMIT 11011
), page AS (
    SELECT seq
      FROM (SELECT seq
              FROM (SELECT seq FROM named UNION ALL
                    SELECT seq FROM of_project UNION ALL
                    SELECT seq FROM of_owner UNION ALL
                    SELECT seq FROM of_all) AS found
             ORDER BY seq DESC
             LIMIT $7) AS found
     LIMIT 1001 -- no page has more: the planner is to know that it joins few
)
SELECT jobs.seq, jobs.id, projects.owner, projects.name AS project, jobs.name, jobs.kind,
       jobs.state, jobs.reason, jobs.attempt, jobs.restarts, jobs.version,
       versions.name AS version_name,
       CASE WHEN deployments.kind = 'deployment' THEN deployments.name END AS deployment,
       CASE WHEN deployments.kind = 'model' THEN deployments.name END AS model,
       jobs.servable, applications.name AS application, jobs.endpoint, jobs.target,
       jobs.copies, cardinality(jobs.addresses) AS copies_running,
       jobs.gpu_types, jobs.gpu_count, jobs.created_at, jobs.changed_at, jobs.queued_at,
       jobs.placed_at, jobs.priority, jobs.preemptible, jobs.gang, jobs.run_at_most, jobs.start_by,
       jobs.give_way_at, jobs.purge_at, jobs.series, jobs.place, jobs.retries, jobs.exit_code,
       CASE WHEN jobs.state NOT IN ('terminated', 'purged') THEN jobs.outputs_size END
           AS outputs_size,
       CASE WHEN versions.deployment IS NULL AND jobs.kind = 'endpoint'
            THEN (versions.definition #>> '{endpoints,0,disk_gib}')::integer END AS disk_size,
       ARRAY(SELECT gpu FROM allocations
              WHERE allocations.job = jobs.id AND released_at IS NULL ORDER BY gpu) AS gpus,
       (SELECT coalesce(sum(price) FILTER (WHERE released_at IS NULL), 0)
          FROM allocations WHERE allocations.job = jobs.id) AS price_per_hour,
       (SELECT coalesce(sum(extract(epoch FROM coalesce(released_at, greatest(now(), held_at))
                                               - held_at) * price::numeric), 0)
          FROM allocations WHERE allocations.job = jobs.id) AS cost
  FROM page
  -- the limit keeps the planner from reading all jobs to join them, however few it expects
  JOIN LATERAL (SELECT * FROM jobs WHERE jobs.seq = page.seq LIMIT 1) AS jobs ON true
  JOIN projects ON projects.seq = jobs.project
  JOIN versions ON versions.id = jobs.version
  LEFT JOIN deployments ON deployments.id = versions.deployment
  LEFT JOIN applications ON applications.id = jobs.application
 ORDER BY jobs.seq DESC;
