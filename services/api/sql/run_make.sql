-- The jobs of a series, which is one command of a version, and their facts; queued where its image is
-- there, else its builder moves them on. What is left out is the caller's to take back: fewer are made
-- than asked for where one has a name that is taken, and none of a version that could not be built.
-- One row for each that was made, or else one without a job, with how the version is.
-- $1 the facts of each: when submitted (job, name, endpoint, gpu_types, gpu_count), and when queued
-- $2 project  $3 source of the facts  $4 type of the first, and $5 of the second  $6 version  $7 target
-- $8 series  $9 what each does  $10 more tries  $11 priority  $12 whether it may have to give way
-- $13 price at most  $14 seconds in which it has to start (null: any)
-- $15 seconds that it may run (null: any)
WITH version AS ( -- stays as it is until the transaction ends
    SELECT state FROM versions WHERE id = $6 FOR SHARE
), given AS (
    SELECT value -> 'submitted' AS submitted, value -> 'queued' AS queued, number - 1 AS place
      FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS facts (value, number)
), made AS (
    INSERT INTO jobs (id, project, kind, name, version, endpoint, target, gpu_types, gpu_count,
                      run, series, place, retries, priority, preemptible, max_price, start_by,
                      run_at_most, state, queued_at)
    SELECT submitted ->> 'job', $2, 'batch', submitted ->> 'name', $6, submitted ->> 'endpoint', $7,
           ARRAY(SELECT jsonb_array_elements_text(submitted -> 'gpu_types')),
           (submitted ->> 'gpu_count')::integer,
           jsonb_set($9::jsonb, '{variables}', coalesce($9::jsonb -> 'variables', '{}')
                     || jsonb_build_object('SLIPWAY_ARRAY_INDEX', place::text,
                                           'SLIPWAY_ARRAY_SIZE', count(*) OVER ()::text)),
           $8, place, $10, $11, $12, $13, now() + make_interval(secs => $14), $15,
           CASE version.state WHEN 'ready' THEN 'queued' ELSE 'submitted' END::job_state,
           CASE version.state WHEN 'ready' THEN now() END
      FROM given, version
     WHERE version.state <> 'failed'
     ORDER BY place
        ON CONFLICT DO NOTHING
    RETURNING id, series, place, name, state, reason, attempt, exit_code, endpoint, target,
              CASE WHEN place = 0 THEN run END AS run, created_at
), announced AS (
    INSERT INTO events (type, project, source, subject, data)
    SELECT fact.type, $2, $3, made.id, fact.data
      FROM made
      JOIN given ON given.place = made.place
     CROSS JOIN LATERAL (VALUES (1, $4::text, submitted), (2, $5, queued)) AS fact (step, type, data)
     WHERE fact.step = 1 OR made.state = 'queued'
     ORDER BY fact.step, made.place
)
SELECT version.state AS version_state, made.*
  FROM version
  LEFT JOIN made ON true
 ORDER BY made.place;
