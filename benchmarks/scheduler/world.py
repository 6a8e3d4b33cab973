"""A hundred thousand jobs of a thousand owners that wait for GPUs, in real tables."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg

TARGET = "bench"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

OWNERS = "INSERT INTO owners (name) SELECT 'owner-' || n FROM generate_series(1, $1::integer) AS n"
PROJECTS = "INSERT INTO projects (owner, name) SELECT name, 'bench' FROM owners ORDER BY name"
VERSIONS = """
INSERT INTO versions (id, project, name, state, definition)
SELECT 'v-' || seq, seq, 'one', 'ready', '{"source": "sha256:0", "endpoints": []}' FROM projects
"""
GPUS = """
INSERT INTO gpus (id, target, type, device, node, price)
SELECT $1 || '/' || n, $1, 'bench', n, 'node-' || n / 8, 1.0
  FROM generate_series(0, $2::integer - 1) AS n
"""
# every tenth of a higher class, every tenth of two GPUs, every hundredth of eight
JOBS = """
INSERT INTO jobs (id, project, name, version, endpoint, target, state, gpu_types, gpu_count,
                  priority, created_at, queued_at)
SELECT 'j-' || p.seq || '-' || n, p.seq, 'job-' || n, 'v-' || p.seq, 'one', $1, 'queued', '{bench}',
       CASE WHEN n % 100 = 7 THEN 8 WHEN n % 10 = 3 THEN 2 ELSE 1 END,
       CASE WHEN n % 10 = 5 THEN 100 ELSE 0 END,
       now() - make_interval(secs => 100000 - n), now() - make_interval(secs => 100000 - n)
  FROM projects AS p, generate_series($3::integer, $3::integer + $2::integer - 1) AS n
"""
END = """
WITH ended AS (
    UPDATE jobs SET state = 'finished', changed_at = now()
     WHERE target = $1 AND state IN ('starting', 'running')
       AND placed_at < now() - make_interval(secs => $2)
    RETURNING id
), freed AS (
    UPDATE allocations SET released_at = clock_timestamp()
      FROM ended
     WHERE allocations.job = ended.id AND allocations.released_at IS NULL
)
SELECT count(*) FROM ended
"""


async def fill(connection: Connection, *, owners: int, each: int, gpus: int) -> None:
    await connection.execute(OWNERS, owners)
    await connection.execute(PROJECTS)
    await connection.execute(VERSIONS)
    await connection.execute(GPUS, TARGET, gpus)
    await more(connection, each, 0)
    for table in ("jobs", "gpus", "projects", "versions", "owners", "allocations"):
        await connection.execute(f"VACUUM ANALYZE {table}")


async def more(connection: Connection, each: int, first: int) -> None:
    """So many jobs more for each owner, numbered from `first`."""
    await connection.execute(JOBS, TARGET, each, first)


async def end(connection: Connection, after: float) -> int:
    """End what has run for so many seconds, as its target would; how many."""
    return int(await connection.fetchval(END, TARGET, after) or 0)
