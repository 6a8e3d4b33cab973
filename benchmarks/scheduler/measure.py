"""Admissions with a deep queue, and a replay of a published trace."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path
from statistics import quantiles
from typing import Final

import asyncpg
import msgspec

from benchmarks.scheduler import kueue, world
from benchmarks.scheduler.admitting import Told
from benchmarks.table import Figure, at_least, at_most
from shared.database.embedded import postgres
from shared.database.migrate import migrate
from shared.database.pool import Database

OWNERS: Final = 1_000
GPUS: Final = 2_000
RUNS: Final = 1.0  # seconds that a job holds its GPUs
RATE: Final = 500.0  # admissions a second, at least: this and what follows was asked for
DECISION: Final = 50.0  # milliseconds of the p99 of a decision, at most
ANEW: Final = 10.0  # seconds from the beginning of a process to its first admission, at most
MEMORY: Final = 500.0  # megabytes, at most
OVER: Final = 1.3  # of the bound of Kueue's baseline, at most
KUEUE_RATE: Final = 42.7  # admissions a second, on its own continuous integration
KUEUE_WALL: Final = 351.0  # seconds of its baseline, there


async def admissions(home: Path, seconds: float, waiting: int) -> Told:
    """With so many waiting at any time, and GPUs that come free as jobs end."""
    each = max(1, waiting // OWNERS)
    with postgres(home / "postgres") as url:
        async with Database.open(url) as database:
            await migrate(database)
        connection = await asyncpg.connect(url)
        try:
            await world.fill(connection, owners=OWNERS, each=each, gpus=GPUS)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.scheduler.admitting", url, str(seconds)),
                stdout=asyncio.subprocess.PIPE,
            )
            target = asyncio.create_task(_target(connection, each))
            said, _ = await process.communicate()
            target.cancel()
            await asyncio.wait([target])
        finally:
            connection.terminate()
    return msgspec.json.decode(said, type=Told)


async def _target(connection: world.Connection, first: int) -> None:
    """Ends what has run, and has as many jobs submitted as have ended."""
    ended = 0
    while True:
        ended += await world.end(connection, RUNS)
        while ended >= OWNERS:
            await world.more(connection, 1, first)
            first, ended = first + 1, ended - OWNERS
        await asyncio.sleep(0.05)


async def measure(home: Path, seconds: float, waiting: int, share: float = 1.0) -> list[Figure]:
    told = await admissions(home, seconds, waiting)
    return [
        *admitted(told, waiting),
        *replayed(await asyncio.to_thread(kueue.replay, share), share),
    ]


def admitted(told: Told, waiting: int) -> list[Figure]:
    """What was asked of admissions with so many waiting, and whether it is so."""
    rate, p99 = told.admitted / told.seconds, _p99(told.decisions) * 1e3
    first = told.first if told.admitted else inf
    return [
        Figure(
            what=f"admissions, {waiting:,} wait of {OWNERS:,} owners",
            ours=f"{rate:,.0f}/s",
            limit=at_least(rate, RATE, "/s"),
            note=f"Kueue's baseline has {KUEUE_RATE}/s on its own machines: theirs include writes "
            "to Kubernetes' API, and ours do not",
        ),
        Figure(
            what="a decision, p50 and p99",
            ours=f"{_p50(told.decisions) * 1e3:.0f} and {p99:.0f} ms",
            limit=at_most(p99, DECISION, " ms"),
            note=f"of {len(told.decisions):,}; the limit is of the p99",
        ),
        Figure(
            what="reading the tables for it, p50 and p99",
            ours=f"{_p50(told.looks) * 1e3:.0f} and {_p99(told.looks) * 1e3:.0f} ms",
            note=f"{len(told.looks)} looks in {told.seconds:.0f} s, "
            f"{told.processor / told.seconds:.2f} of a core",
        ),
        Figure(
            what="begun anew: until the first admission",
            ours=f"{first:.1f} s",
            limit=at_most(first, ANEW, " s"),
            note="a process that knows nothing, with as many waiting",
        ),
        Figure(
            what="memory of who admits, at most",
            ours=f"{told.memory / 1e6:.0f} MB",
            limit=at_most(told.memory / 1e6, MEMORY, " MB"),
            note="resident, at its highest",
        ),
    ]


def replayed(done: kueue.Outcome, share: float) -> list[Figure]:
    """What was asked of a replay of that share of Kueue's baseline, and whether it is so."""
    over, wall = done.makespan / done.bound, KUEUE_WALL * share
    return [
        Figure(
            what=f"Kueue's baseline, {done.jobs:,} jobs: simulated time",
            ours=f"{done.makespan:.1f} s",
            anchor=f"{done.bound:.1f} s",
            ratio=1 / over,
            limit=at_most(over, OVER, " of the anchor"),
            note=f"the bound below which nobody can be; {done.preempted:,} gave way",
        ),
        Figure(
            what="... and the time that the replay took",
            ours=f"{done.wall:.0f} s",
            anchor=f"{wall:.0f} s",
            ratio=wall / done.wall,
            limit=at_most(done.wall, wall, " s"),
            note=f"Kueue's, with real time and Kubernetes in it; {len(done.decisions):,} "
            f"decisions, p99 {_p99(done.decisions) * 1e3:.0f} ms",
        ),
    ]


def _p50(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[-1] if len(values) > 1 else values[0]
