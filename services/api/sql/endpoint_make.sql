-- A lone endpoint, in one statement: its job, its unnamed version, the facts of both, and the answer to
-- whoever submitted it. Whether it had its owner for itself, whether that one may have one more that is
-- to be built, and whether it was made: nothing is written unless all that, or when a job of that name
-- is there; an error, and nothing written, when another answer is kept under the key.
-- $1 the version  $2 project  $3 source of the facts  $4 definition
-- $5 the job  $6 name  $7 endpoint  $8 target  $9 GPU types  $10 GPU count  $11 copies
-- $12 priority  $13 whether it may have to give way  $14 whether all copies start at once
-- $15 price at most  $16 seconds in which it has to start (null: any)  $17 seconds that it may run
-- (null: any)  $18 when it was submitted  $19 type of the version's fact  $20 that fact
-- $21 type of the job's  $22 that  $23 whose key (null: no answer is kept)  $24 the key
-- $25 hash of the request  $26 status  $27 body  $28 the project's owner
-- $29 so many of whose versions may wait to be built (0: any number)
-- $30 whether it may wait for having its owner for itself
WITH claimed AS MATERIALIZED (
    SELECT claim($28, $30) AS so
), admitted AS MATERIALIZED (
    SELECT CASE WHEN so THEN $29::integer = 0 OR builds_waiting($28, $29) < $29 END AS so
      FROM claimed
), made AS (
    INSERT INTO jobs (id, project, owner, name, version, endpoint, target, gpu_types, gpu_count, copies,
                      priority, preemptible, gang, max_price, start_by, run_at_most, created_at,
                      changed_at)
    SELECT $5, $2, $28, $6, $1, $7, $8, $9, $10, $11, $12, $13, $14, $15,
           $18::timestamptz + make_interval(secs => $16), $17, $18, $18
      FROM admitted
     WHERE so
        ON CONFLICT DO NOTHING
    RETURNING id, project, version
), version AS ( -- which the job refers to already: that is looked at when the statement is done
    INSERT INTO versions (id, project, name, definition)
    SELECT version, project, id, $4::jsonb
      FROM made
), announced AS (
    INSERT INTO events (type, project, source, subject, data)
    SELECT fact.type, $2, $3, fact.subject, fact.data
      FROM made,
           (VALUES (1, $19::text, $1::text, $20::jsonb), (2, $21, $5, $22::jsonb))
           AS fact (place, type, subject, data)
     ORDER BY fact.place
), answered AS (
    INSERT INTO answers (owner, key, request, status, body)
    SELECT $23::text, $24::text, $25::bytea, $26::integer, $27::bytea
      FROM made
     WHERE $23 IS NOT NULL
)
SELECT claimed.so AS claimed, admitted.so AS admitted, EXISTS (SELECT FROM made) AS made
  FROM claimed, admitted;
