-- The jobs of a series, which is one command of a version, in one statement: all of them, their facts,
-- and the answer to whoever submitted it; queued where their image is there, else its builder moves
-- them on. Nothing, when the version is not as it was said to be; an error, and nothing written, when
-- one has a name that is taken, or another answer is kept under the key. Whether it had its owner for
-- itself, and the version or could wait for it, without which it does nothing; and how many were made.
-- $1 the facts of each: when submitted (job, name, endpoint, gpu_types, gpu_count), and when queued
-- $2 project  $3 source of the facts  $4 type of the first, and $5 of the second  $6 version
-- $7 how that is  $8 target  $9 series  $10 what each does  $11 more tries  $12 priority
-- $13 whether it may have to give way  $14 price at most  $15 seconds in which it has to start (null:
-- any)  $16 seconds that it may run (null: any)  $17 when it was submitted
-- $18 whose key (null: no answer is kept)  $19 the key  $20 hash of the request  $21 status  $22 body
-- $23 the project's owner  $24 whether it may wait for that, and for the version
WITH claimed AS MATERIALIZED (
    SELECT claim($23, $24) AS so
), waited AS ( -- it stays as it is until the transaction ends
    SELECT versions.state
      FROM claimed
      JOIN versions ON claimed.so AND versions.id = $6 AND versions.state = $7
     WHERE $24
       FOR SHARE OF versions
), grasped AS (
    SELECT versions.state
      FROM claimed
      JOIN versions ON claimed.so AND versions.id = $6 AND versions.state = $7
     WHERE NOT $24
       FOR SHARE OF versions SKIP LOCKED
), version AS (
    SELECT state FROM waited UNION ALL SELECT state FROM grasped
), given AS (
    SELECT value -> 'submitted' AS submitted, value -> 'queued' AS queued, number - 1 AS place
      FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS facts (value, number)
), made AS (
    INSERT INTO jobs (id, project, owner, kind, name, version, endpoint, target, gpu_types, gpu_count,
                      run, series, place, retries, priority, preemptible, max_price, start_by,
                      run_at_most, state, created_at, changed_at, queued_at)
    SELECT submitted ->> 'job', $2, $23, 'batch', submitted ->> 'name', $6, submitted ->> 'endpoint', $8,
           ARRAY(SELECT jsonb_array_elements_text(submitted -> 'gpu_types')),
           (submitted ->> 'gpu_count')::integer,
           jsonb_set($10::jsonb, '{variables}', coalesce($10::jsonb -> 'variables', '{}')
                     || jsonb_build_object('SLIPWAY_ARRAY_INDEX', place::text,
                                           'SLIPWAY_ARRAY_SIZE', count(*) OVER ()::text)),
           $9, place, $11, $12, $13, $14, $17::timestamptz + make_interval(secs => $15), $16,
           CASE version.state WHEN 'ready' THEN 'queued' ELSE 'submitted' END::job_state, $17, $17,
           CASE version.state WHEN 'ready' THEN $17 END
      FROM given, version
     ORDER BY place
    RETURNING id, place, state
), announced AS (
    INSERT INTO events (type, project, source, subject, data)
    SELECT fact.type, $2, $3, made.id, fact.data
      FROM made
      JOIN given ON given.place = made.place
     CROSS JOIN LATERAL (VALUES (1, $4::text, submitted), (2, $5, queued)) AS fact (step, type, data)
     WHERE fact.step = 1 OR made.state = 'queued'
     ORDER BY fact.step, made.place
), answered AS (
    INSERT INTO answers (owner, key, request, status, body)
    SELECT $18::text, $19::text, $20::bytea, $21::integer, $22::bytea
      FROM version
     WHERE $18 IS NOT NULL
)
SELECT so AND ($24 OR EXISTS (SELECT FROM version)) AS claimed, (SELECT count(*) FROM made) AS made
  FROM claimed;
