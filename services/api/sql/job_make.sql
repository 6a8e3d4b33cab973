-- $1 id  $2 project  $3 name  $4 version  $5 endpoint  $6 target  $7 GPU types  $8 GPU count
-- $9 copies
-- No row when a job of that name is there.
INSERT INTO jobs (id, project, name, version, endpoint, target, gpu_types, gpu_count,
                  copies)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT DO NOTHING
RETURNING id;
