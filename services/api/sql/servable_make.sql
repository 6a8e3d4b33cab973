-- A job that serves a model version, for an application or by itself.
-- $1 id  $2 project  $3 name, of the servable as well  $4 version  $5 target  $6 GPU count  $7 copies
-- $8 application (null: none)  $9 how it runs
-- No row when the name is taken, be it by an application: over gRPC both are found by name.
INSERT INTO jobs (id, project, name, servable, version, endpoint, target, gpu_count, copies,
                  application, configuration)
SELECT $1, $2, $3, $3, $4, 'model', $5, $6, $7, $8, $9::jsonb
 WHERE NOT EXISTS (SELECT FROM applications WHERE name = $3 AND state <> 'removed')
    ON CONFLICT DO NOTHING
RETURNING id;
