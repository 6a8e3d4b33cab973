"""Lists of jobs: what they are chosen by, and that a page is found by an index, never by a look at all."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import msgspec
import pytest

from services.api.jobs import JOBS
from shared.database.pool import Connection
from tests.api.conftest import World

ROWS = 600
STATES = ("queued", "running", "stopped", "failed", "terminated")
FILL = """
INSERT INTO jobs (id, project, name, version, endpoint, target, state)
SELECT 'l' || n, 1 + n % 2, 'web-' || n / 7, 'v0', 'predict', 'process',
       (ARRAY['queued', 'running', 'stopped', 'failed', 'terminated'])[1 + n % 5]::job_state
  FROM generate_series(1, $1::integer) AS n
    ON CONFLICT DO NOTHING
"""
VERSION = """
INSERT INTO versions (id, project, name, state, definition) VALUES ('v0', 1, 'v0', 'ready', '{}')
"""
PLAIN = """
SELECT jobs.id FROM jobs JOIN projects ON projects.seq = jobs.project
 WHERE ($1::text IS NULL OR jobs.id = $1)
   AND ($2::text IS NULL OR projects.owner = $2)
   AND ($3::bigint IS NULL OR jobs.project = $3)
   AND ($4::job_state IS NULL OR jobs.state = $4)
   AND ($5::text IS NULL OR jobs.name = $5)
   AND ($6::bigint IS NULL OR jobs.seq < $6)
 ORDER BY jobs.seq DESC
 LIMIT $7
"""
WISHES = list(
    product(
        (None, "l17", "none"),
        (None, "ann", "bob"),
        (None, 1, 2),
        (None, *STATES[:2]),
        (None, "web-3"),
        (None, 300),
        (5, 1000),
    )
)


async def fill(world: World, rows: int) -> None:
    await world.database.execute(VERSION)
    await world.database.execute(FILL, rows)


async def test_every_choice_finds_what_a_plain_look_at_all_would(world: World) -> None:
    await fill(world, ROWS)
    found: Any
    async with world.database.connection() as connection:
        for wish in random.Random(1).sample(WISHES, 200):
            found = [row["id"] for row in await connection.fetch(JOBS, *wish)]
            assert found == [row["id"] for row in await connection.fetch(PLAIN, *wish)], wish


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_no_page_looks_at_all_jobs(world: World, mode: str) -> None:
    """Also where the server plans once for every choice."""
    await fill(world, 20_000)
    await world.database.execute("ANALYZE")
    choices = {
        "all": (None, None, None, None, None, None, 101),
        "a state": (None, None, None, "failed", None, None, 101),
        "an owner": (None, "ann", None, None, None, 5000, 101),
        "an owner's state": (None, "ann", None, "failed", None, None, 101),
        "a project": (None, "ann", 1, None, None, None, 101),
        "a project's state": (None, "ann", 1, "stopped", None, None, 101),
        "a name": (None, None, None, None, "web-3", None, 101),
        "one": ("l17", None, None, None, None, None, 1),
    }
    async with world.database.connection() as connection:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        read = {name: await _read(connection, wish) for name, wish in choices.items()}
        await connection.execute("RESET plan_cache_mode")
    # of so few the server may read all once, to find the rows of a page; but not state by state
    assert {name: rows for name, rows in read.items() if rows > 12_000} == {}


async def _read(connection: Connection, wish: tuple[Any, ...]) -> int:
    """How many rows of jobs, or entries of its indexes, it touches."""
    types = "text, text, bigint, job_state, text, bigint, bigint"
    await connection.execute(f"PREPARE page ({types}) AS {JOBS}")
    values = ", ".join("NULL" if value is None else f"'{value}'" for value in wish)
    query = f"EXPLAIN (ANALYZE, FORMAT json) EXECUTE page ({values})"
    (plan,) = msgspec.json.decode(await connection.fetchval(query))
    await connection.execute("DEALLOCATE page")
    return _rows(plan["Plan"])


def _rows(node: Any) -> int:
    own = 0
    if node.get("Relation Name") == "jobs":
        removed = node.get("Rows Removed by Filter", 0)
        own = round((node["Actual Rows"] + removed) * node["Actual Loops"])
    return own + sum(map(_rows, node.get("Plans", [])))


async def test_jobs_are_found_by_how_their_ids_begin(world: World) -> None:
    await fill(world, 30)
    found = (await world.ask("GET", "/v1/jobs?id=l1", as_="admin")).body["items"]
    known = await world.database.fetch("SELECT id FROM jobs WHERE id LIKE 'l1%' ORDER BY id")
    assert [job["id"] for job in found] == [row["id"] for row in known] != []
    mine = (await world.ask("GET", "/v1/jobs?id=l1&state=running")).body["items"]
    assert {(job["owner"], job["state"]) for job in mine} == {("ann", "running")}
    for none in ("L1", "l%25", "x", "l1'"):
        assert (await world.ask("GET", f"/v1/jobs?id={none}")).body["items"] == []
