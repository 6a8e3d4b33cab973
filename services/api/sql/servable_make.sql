-- A job that serves a model version, for an application or by itself.
-- $1 id  $2 project  $3 name, of the servable as well  $4 version  $5 target  $6 GPU count  $7 copies
-- $8 application (null: none)  $9 how it runs  $10 priority  $11 whether it may have to give way
-- $12 whether all copies start at once  $13 seconds in which it has to start (null: any)
-- $14 seconds that it may run (null: any)
-- No row when the name is taken, be it by an application: over gRPC both are found by name.
INSERT INTO jobs (id, project, name, servable, version, endpoint, target, gpu_count, copies,
                  application, configuration, priority, preemptible, gang, start_by,
                  run_at_most)
SELECT $1, $2, $3, $3, $4, 'model', $5, $6, $7, $8, $9::jsonb, $10, $11, $12,
       now() + make_interval(secs => $13), $14
 WHERE NOT EXISTS (SELECT FROM applications WHERE name = $3 AND state <> 'removed')
    ON CONFLICT DO NOTHING
RETURNING id;
