"""A week of jobs in virtual time, on the real SQL, with crashes; and a referee who keeps his own book.

`Flaky` kills whoever writes: its transaction is rolled back, or what was committed is never heard of.
`Scheduler` knows nothing but what it has just read, so a crash costs it nothing but the step. The
referee reads the facts that are announced and the test's own clock, and never what was held from the
table that bills are made of.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import msgspec

from shared.database.jobs import PostgresJobs
from shared.database.pool import Connection, Database
from shared.events import (
    GpuReleased,
    JobFailed,
    JobLost,
    JobPlaced,
    JobPreempted,
    JobRestarted,
    JobScaled,
    JobStarted,
    JobStopped,
    JobStopping,
)
from shared.ids import JobId
from shared.lifecycle import HOLDING, State

PRICES: Final = {"a100": 2.123457, "rtx3090": 0.5, "t4": 0.35}
OWNERS: Final = {"ann": ("house", "hut"), "bob": ("barn",), "eve": ("shed",)}

MAKE: Final = """
INSERT INTO jobs (id, project, name, version, endpoint, target, state, gpu_count, copies, queued_at)
SELECT $1, seq, $1, 'v', 'e', 'process', 'queued', $3, $4, now() FROM projects WHERE name = $2
"""
KNOWN: Final = """
SELECT id AS job, attempt, state::text, gpu_count, copies, granted, grants, held FROM jobs ORDER BY id
"""
HELD: Final = """
SELECT DISTINCT job, attempt FROM allocations WHERE released_at IS NULL ORDER BY job, attempt
"""
FREE: Final = """
SELECT id FROM gpus
 WHERE NOT EXISTS (SELECT FROM allocations WHERE gpu = gpus.id AND released_at IS NULL) ORDER BY id
"""


class Crashed(Exception):
    """Whoever wrote this is dead."""


class Flaky(Database):
    """A database whose clients die: before what they wrote is committed, or right after."""

    def __init__(self, database: Database, chance: random.Random, often: float) -> None:
        self._real = database
        self._chance = chance
        self._often = often
        self.crashes: Counter[str] = Counter()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        die = self._chance.random() < self._often
        how = self._chance.choice(("before", "after")) if die else ""
        async with self._real.transaction() as connection:
            yield connection
            if how == "before":
                self.crashes[how] += 1
                raise Crashed
        if how == "after":
            self.crashes[how] += 1
            raise Crashed


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as whoever decides sees it."""

    job: JobId
    attempt: int
    state: State
    gpu_count: int
    copies: int
    granted: int
    grants: int
    held: int


class Interval(msgspec.Struct, kw_only=True):
    gpu: str
    job: str
    attempt: int
    price: float
    since: datetime
    until: datetime | None = None


class Referee:
    """Who held which GPU from when to when, by what was announced."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seq = 0
        self.book: list[Interval] = []
        self._open: dict[str, Interval] = {}

    async def look(
        self, now: datetime, prices: Mapping[str, float], asked: Iterable[str] = ()
    ) -> list[Any]:
        """Write down what was announced since the last look, at this time; what it was. `asked`:
        the GPUs that a job would grow on, which no fact names."""
        rows = await self._database.fetch(
            "SELECT seq, type, subject, data FROM events WHERE seq > $1 ORDER BY seq", self._seq
        )
        for row in rows:
            self._seq, data = row["seq"], row["data"]
            if row["type"] in (JobPlaced.type, JobScaled.type):
                for gpu in data.get("gpus", asked):
                    self._begin(gpu, data, now, prices)
            elif row["type"] == GpuReleased.type:
                ended = self._open.pop(row["subject"])
                assert (ended.job, ended.attempt) == (data["job"], data["attempt"])
                ended.until = now
        return rows

    def _begin(self, gpu: str, data: Any, now: datetime, prices: Mapping[str, float]) -> None:
        assert gpu not in self._open, "one GPU, two holders"
        made = Interval(
            gpu=gpu, job=data["job"], attempt=data["attempt"], price=prices[gpu], since=now
        )
        self._open[gpu] = made
        self.book.append(made)


class Scheduler:
    """Does something that could be done, every time it is asked. It remembers nothing."""

    def __init__(self, real: Database, flaky: Database, chance: random.Random) -> None:
        self._real = real
        self._jobs = PostgresJobs(flaky)
        self._chance = chance

    async def step(self) -> tuple[str, ...]:
        """The GPUs on which it wanted to let a job grow. Raises Crashed."""
        held = [tuple(row) for row in await self._real.fetch(HELD)]
        rows = await self._real.fetch(KNOWN)
        known = {row["job"]: msgspec.convert(dict(row), Row) for row in rows}
        gone = [each for each in held if not _at_work(known[each[0]], each[1])]
        if gone and self._chance.random() < 0.5:
            await self._jobs.release(*self._chance.choice(gone))
            return ()
        return await self._move(self._chance.choice(list(known.values())))

    async def _move(self, row: Row) -> tuple[str, ...]:
        job, attempt = row.job, row.attempt
        match row.state:
            case State.QUEUED:
                await self._place(row)
            case State.STARTING if self._chance.random() < 0.7:
                await self._jobs.advance(JobStarted(job=job, attempt=attempt, address="a"))
            case State.RUNNING if row.held > row.granted:
                await self._jobs.shrink(job, attempt, row.granted, row.grants)
            case State.RUNNING if row.copies > 1 and self._chance.random() < 0.5:
                return await self._scale(row)
            case State.STARTING | State.RUNNING:
                await self._jobs.advance(self._chance.choice(_ends(job, attempt)))
            case State.STOPPING:
                await self._jobs.release(job, attempt)
                await self._jobs.advance(JobStopped(job=job, attempt=attempt))
            case State.STOPPED:
                await self._jobs.advance(JobRestarted(job=job, attempt=attempt))
        return ()

    async def _place(self, row: Row) -> None:
        copies = self._chance.randint(1, row.copies)
        gpus = await self._choose(row.gpu_count * copies)
        if gpus:
            fact = JobPlaced(job=row.job, attempt=row.attempt, gpus=gpus, copies=copies)
            await self._jobs.place(fact)

    async def _scale(self, row: Row) -> tuple[str, ...]:
        copies = self._chance.randint(1, row.copies)
        more = (copies - row.granted) * row.gpu_count
        gpus = await self._choose(more) if more > 0 else ()
        if more > 0 and not gpus:
            return ()
        fact = JobScaled(job=row.job, attempt=row.attempt, copies=copies)
        try:
            await self._jobs.grow(fact, row.granted, gpus)
        except Crashed:
            raise Grown(gpus) from None
        return gpus

    async def _choose(self, count: int) -> tuple[str, ...]:
        """So many GPUs, sometimes by news that is old: then one of them is held."""
        free = [row["id"] for row in await self._real.fetch(FREE)]
        if self._chance.random() < 0.1:
            free = [row["id"] for row in await self._real.fetch("SELECT id FROM gpus ORDER BY id")]
        return tuple(self._chance.sample(free, count)) if len(free) >= count else ()


class Grown(Crashed):
    """It died while it let a job grow on `gpus`."""

    def __init__(self, gpus: tuple[str, ...]) -> None:
        super().__init__()
        self.gpus = gpus


def _at_work(row: Row, attempt: int) -> bool:
    return row.attempt == attempt and row.state in HOLDING


def _ends(job: JobId, attempt: int) -> tuple[Any, ...]:
    return (
        JobLost(job=job, attempt=attempt, reason="lost"),
        JobPreempted(job=job, attempt=attempt, reason="gives way"),
        JobStopping(job=job, attempt=attempt),
        JobStopping(job=job, attempt=attempt),
        *[JobFailed(job=job, attempt=attempt, reason="failed")][: job.endswith("7")],
    )


async def furnish(database: Database, chance: random.Random, *, jobs: int, gpus: int) -> None:
    """Owners, projects, GPUs of three types, and jobs that are queued."""
    for owner, projects in OWNERS.items():
        await database.execute("INSERT INTO owners (name) VALUES ($1)", owner)
        for project in projects:
            await database.execute(
                "INSERT INTO projects (owner, name) VALUES ($1, $2)", owner, project
            )
    await database.execute(
        "INSERT INTO versions (id, project, name, definition)"
        " SELECT 'v', min(seq), 'v', '{}' FROM projects"
    )
    for number in range(gpus):
        kind = list(PRICES)[number % 3]
        await database.execute(
            "INSERT INTO gpus (id, target, type, device, price) VALUES ($1, 'process', $2, $1, $3)",
            f"process/{kind}-{number}",
            kind,
            PRICES[kind],
        )
    names = [project for projects in OWNERS.values() for project in projects]
    for number in range(jobs):
        copies, count = chance.choice(((1, 1), (1, 2), (3, 1), (2, 2)))
        await database.execute(MAKE, f"j{number:03}", chance.choice(names), count, copies)
