"""Admissions with a deep queue, and a replay of a published trace."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Final

import asyncpg
import msgspec

from benchmarks.scheduler import kueue, world
from benchmarks.scheduler.admitting import Told
from benchmarks.table import Figure
from shared.database.embedded import postgres
from shared.database.migrate import migrate
from shared.database.pool import Database

OWNERS: Final = 1_000
GPUS: Final = 2_000
RUNS: Final = 1.0  # seconds that a job holds its GPUs
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
    replayed = await asyncio.to_thread(kueue.replay, share)
    rate, p99 = told.admitted / told.seconds, _p99(told.decisions)
    deep = f"{waiting:,} wait of {OWNERS:,} owners"
    return [
        Figure(
            what=f"admissions, {deep}",
            ours=f"{rate:,.0f}/s",
            anchor=f"{KUEUE_RATE}/s",
            ratio=rate / KUEUE_RATE,
            note="Kueue's baseline on its own machines, whose admissions write to Kubernetes",
        ),
        Figure(
            what="a decision, p50 and p99",
            ours=f"{_p50(told.decisions) * 1e3:.0f} and {p99 * 1e3:.0f} ms",
            anchor="50 ms",
            ratio=0.05 / p99,
            note="the figure asked for, of the p99",
        ),
        Figure(
            what="reading the tables for it, p50 and p99",
            ours=f"{_p50(told.looks) * 1e3:.0f} and {_p99(told.looks) * 1e3:.0f} ms",
            anchor="-",
            ratio=1.0,
            note=f"{len(told.looks)} looks in {told.seconds:.0f} s, "
            f"{told.processor / told.seconds:.2f} of a core",
        ),
        Figure(
            what="begun anew: until the first admission",
            ours=f"{told.first:.1f} s",
            anchor="10 s",
            ratio=10 / told.first if told.first else 0.0,
            note="the figure asked for",
        ),
        Figure(
            what="memory of who admits, at most",
            ours=f"{told.memory / 1e6:.0f} MB",
            anchor="500 MB",
            ratio=500e6 / told.memory,
            note="the figure asked for",
        ),
        Figure(
            what=f"Kueue's baseline, {replayed.jobs:,} jobs: simulated time",
            ours=f"{replayed.makespan:.1f} s",
            anchor=f"{replayed.bound:.1f} s",
            ratio=replayed.bound / replayed.makespan,
            note=f"the bound below which nobody can be; {replayed.preempted:,} gave way",
        ),
        Figure(
            what="... and the time that the replay took",
            ours=f"{replayed.wall:.0f} s",
            anchor=f"{KUEUE_WALL * share:.0f} s",
            ratio=KUEUE_WALL * share / replayed.wall,
            note=f"Kueue's, with real time and Kubernetes in it; {len(replayed.decisions):,} "
            f"decisions, p99 {_p99(replayed.decisions) * 1e3:.0f} ms",
        ),
    ]


def _p50(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[-1] if len(values) > 1 else values[0]
