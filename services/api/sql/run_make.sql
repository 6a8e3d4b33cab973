-- The jobs of a series, which is one command of a version, and their facts. How many were made: fewer
-- than there are facts where one has a name that is taken.
-- $1 the facts: job, name, version, endpoint, gpu_types, gpu_count  $2 project  $3 source of the facts
-- $4 their type  $5 target  $6 series  $7 what each does  $8 more tries
-- $9 priority  $10 whether it may have to give way  $11 price at most
-- $12 seconds in which it has to start (null: any)  $13 seconds that it may run (null: any)
WITH given AS (
    SELECT value AS fact, number - 1 AS place
      FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS facts (value, number)
), made AS (
    INSERT INTO jobs (id, project, kind, name, version, endpoint, target, gpu_types, gpu_count,
                      run, series, place, retries, priority, preemptible, max_price, start_by,
                      run_at_most)
    SELECT fact ->> 'job', $2, 'batch', fact ->> 'name', fact ->> 'version', fact ->> 'endpoint', $5,
           ARRAY(SELECT jsonb_array_elements_text(fact -> 'gpu_types')),
           (fact ->> 'gpu_count')::integer,
           jsonb_set($7::jsonb, '{variables}', coalesce($7::jsonb -> 'variables', '{}')
                     || jsonb_build_object('SLIPWAY_ARRAY_INDEX', place::text,
                                           'SLIPWAY_ARRAY_SIZE', count(*) OVER ()::text)),
           $6, place, $8, $9, $10, $11, now() + make_interval(secs => $12), $13
      FROM given
     ORDER BY place
        ON CONFLICT DO NOTHING
    RETURNING id
), announced AS (
    INSERT INTO events (type, project, source, subject, data)
    SELECT $4, $2, $3, fact ->> 'job', fact
      FROM given
     ORDER BY place
)
SELECT count(*) FROM made;
