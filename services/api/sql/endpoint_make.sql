-- A lone endpoint, in one statement: its job, its unnamed version, and the facts of both. The job is
-- given back as jobs.sql tells one that has just begun. No row, and nothing written, when a job of that
-- name is there.
-- $1 the version  $2 project  $3 its name  $4 source of the facts  $5 definition
-- $6 the job  $7 name  $8 endpoint  $9 target  $10 GPU types  $11 GPU count  $12 copies
-- $13 priority  $14 whether it may have to give way  $15 whether all copies start at once
-- $16 price at most  $17 seconds in which it has to start (null: any)  $18 seconds that it may run
-- (null: any)  $19 type of the version's fact  $20 that fact  $21 type of the job's  $22 that
WITH made AS (
    INSERT INTO jobs (id, project, name, version, endpoint, target, gpu_types, gpu_count, copies,
                      priority, preemptible, gang, max_price, start_by, run_at_most)
    VALUES ($6, $2, $7, $1, $8, $9, $10, $11, $12, $13, $14, $15, $16,
            now() + make_interval(secs => $17), $18)
        ON CONFLICT DO NOTHING
    RETURNING *
), version AS ( -- which the job refers to already: that is looked at when the statement is done
    INSERT INTO versions (id, project, name, definition)
    SELECT version, project, id, $5::jsonb
      FROM made
), announced AS (
    INSERT INTO events (type, project, source, subject, data)
    SELECT fact.type, $2, $4, fact.subject, fact.data
      FROM made,
           (VALUES (1, $19::text, $1::text, $20::jsonb), (2, $21, $6, $22::jsonb))
           AS fact (place, type, subject, data)
     ORDER BY fact.place
)
SELECT seq, id, owner, $3::text AS project, name, kind, state, reason, attempt, restarts, version,
       id AS version_name, NULL::text AS deployment, NULL::text AS model, servable,
       NULL::text AS application, endpoint, target, copies, 0 AS copies_running, gpu_types,
       gpu_count, created_at, changed_at, queued_at, placed_at, priority, preemptible, gang,
       run_at_most, start_by, give_way_at, purge_at, series, place, retries, exit_code,
       outputs_size, ($5::jsonb #>> '{endpoints,0,disk_gib}')::integer AS disk_size,
       '{}'::text[] AS gpus, 0::float8 AS price_per_hour, 0::numeric AS cost
  FROM made;
