-- Who held which GPU, and when.
SELECT gpu, job, attempt, held_at, released_at FROM allocations ORDER BY seq;
