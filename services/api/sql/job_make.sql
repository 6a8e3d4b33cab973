-- $1 id  $2 project  $3 name  $4 version  $5 endpoint  $6 target  $7 GPU types  $8 GPU count
-- $9 copies  $10 priority  $11 whether it may have to give way  $12 whether all copies start at once
-- $13 price at most  $14 seconds in which it has to start (null: any)  $15 seconds that it may run (null: any)
-- No row when a job of that name is there.
INSERT INTO jobs (id, project, name, version, endpoint, target, gpu_types, gpu_count,
                  copies, priority, preemptible, gang, max_price, start_by, run_at_most)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
        now() + make_interval(secs => $14), $15)
    ON CONFLICT DO NOTHING
RETURNING id;
