"""Durable submissions through the API: each answer means that its jobs are on disk.

Three ways: an endpoint with code of its own, which is a version and a job; a command in the
image of a version that is there, which is a job; and an array of those, many jobs by one request.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from benchmarks.drill.load import ROUTE, empty_source
from benchmarks.hammer import Run
from benchmarks.scheduler.doors import ADMIN, Doors, flood, made, opened, request
from shared.endpoint import Command, Definition, Endpoint, Gpus

GPUS: Final = 256
AT_ONCE: Final = 16  # requests in hand, over all of the processes
ARRAY: Final = 1000  # jobs of one request
ARRAYS: Final = 20
WARM: Final = 400
PARTS: Final = 5
WISH: Final = {"gpu_types": ["bench"], "gpu_count": 1}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    endpoints: Run
    commands: Run
    arrays: Run
    kept: int  # jobs that are in the tables at the end
    processor: float  # seconds of the API's processes for all of it


async def submit(home: Path, processes: int, count: int) -> Told:
    """`count` of the first two ways, by many owners, at so many API processes. They are done in
    PARTS, one after the other, and told is the median: a host's speed changes within seconds."""
    async with opened(home, processes, GPUS) as doors:
        owners = [owner for owner in doors.tokens if owner != ADMIN]
        bodies = [(owner, await _wish(doors, owner)) for owner in owners]
        await _ready(doors, owners)
        each = max(1, AT_ONCE // processes)
        part = max(1, count // PARTS)

        async def median(asking: Callable[[int, int], Iterator[bytes]]) -> Run:
            await flood(doors.ports, asking(0, WARM), connections=each)
            parts = range(1, PARTS + 1)
            runs = [await flood(doors.ports, asking(n, part), connections=each) for n in parts]
            return sorted(runs, key=lambda run: run.rate)[PARTS // 2]

        endpoints = await median(lambda n, many: _endpoints(doors, bodies, f"job-{n}", many))
        commands = await median(lambda _, many: _commands(doors, owners, many, 1))
        arrays = await flood(doors.ports, _commands(doors, owners, ARRAYS, ARRAY), connections=1)
        kept = await _kept(doors)
    spent = sum(doors.processor)
    return Told(endpoints=endpoints, commands=commands, arrays=arrays, kept=kept, processor=spent)


async def _wish(doors: Doors, owner: str) -> dict[str, Any]:
    path = f"/projects/{owner}/bench/uploads"
    source = (await made(doors, owner, path, empty_source()))["digest"]
    return {
        "resources": WISH,
        "model": {"source_uri": source},
        "endpoint": {"routes": [ROUTE]},
    }


async def _ready(doors: Doors, owners: Iterable[str]) -> None:
    """A deployment `d` of each owner with a version `one`, as a builder leaves it."""
    gpus = Gpus(types=("bench",), count=1)
    command = Command(lines=("serve",))
    endpoint = Endpoint(
        name="e", format="valohai", entry=command, port=80, readiness="listening", gpus=gpus
    )
    definition = Definition(source="sha256:" + "0" * 64, endpoints=(endpoint,))
    connection = await asyncpg.connect(doors.database)
    for owner in owners:
        body = {"name": "d"}
        deployment = await made(doors, owner, f"/projects/{owner}/bench/deployments", body)
        await connection.execute(
            "INSERT INTO versions (id, project, deployment, name, state, definition)"
            " SELECT 'd-' || seq, seq, $2, 'one', 'ready', $3::text::jsonb FROM projects"
            " WHERE owner = $1",
            owner,
            deployment["id"],
            msgspec.json.encode(definition).decode(),
        )
    await connection.close()


def _endpoints(
    doors: Doors, bodies: list[tuple[str, dict[str, Any]]], name: str, count: int
) -> Iterator[bytes]:
    for number, (owner, body) in zip(range(count), itertools.cycle(bodies), strict=False):
        path = f"/projects/{owner}/bench/endpoints"
        yield request("POST", path, doors.tokens[owner], {"name": f"{name}-{number}", **body})


def _commands(doors: Doors, owners: list[str], count: int, array: int) -> Iterator[bytes]:
    body = {"command": "true", "array": array}
    for _, owner in zip(range(count), itertools.cycle(owners), strict=False):
        path = f"/projects/{owner}/bench/deployments/d/versions/one/runs"
        yield request("POST", path, doors.tokens[owner], body)


async def _kept(doors: Doors) -> int:
    connection = await asyncpg.connect(doors.database)
    kept = await connection.fetchval("SELECT count(*) FROM jobs")
    await connection.close()
    return int(kept)
