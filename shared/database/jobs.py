"""The jobs table: the one place that moves a job from state to state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import asyncpg
import msgspec

from shared.address import Address
from shared.application import Configuration
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.endpoint import Run
from shared.events import GpuReleased, JobFact, JobMoved, JobPlaced, JobScaled, JobStarted
from shared.ids import ApplicationId, JobId, VersionId
from shared.lifecycle import LIVE, MOVES, State

ADVANCE = sql(__package__, "advance")
PLACE = sql(__package__, "place")
RELEASE = sql(__package__, "release")
JOB = sql(__package__, "job")
TELL = sql(__package__, "tell")
MOVED = sql(__package__, "moved")
SCALE = sql(__package__, "scale")
GROW = sql(__package__, "grow")
SHRINK = sql(__package__, "shrink")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    id: JobId
    owner: str
    project: str
    kind: str
    name: str
    version: VersionId
    endpoint: str
    target: str
    gpu_types: tuple[str, ...]
    gpu_count: int
    state: State
    attempt: int
    reason: str
    addresses: tuple[Address, ...]  # while running
    copies: int  # that its owner wants
    granted: int  # that may run, while it holds GPUs or has processes
    restarts: int
    created_at: datetime
    changed_at: datetime
    queued_at: datetime | None
    servable: str | None = None  # the name by which the gateway knows it: it serves a model
    application: ApplicationId | None = None  # that made it
    configuration: Configuration = Configuration()  # what is laid over its endpoint
    run: Run | None = None  # what a batch job does


class Jobs(Protocol):
    async def advance(self, fact: JobFact) -> bool:
        """Apply `fact` to its job and announce it, both or neither.

        False means the job has already moved on: somebody else won, and nothing is left to do.
        """

    async def place(self, fact: JobPlaced) -> bool:
        """Give a queued job the GPUs that `fact` names. False: it moved on, or one is held."""

    async def place_all(self, facts: Sequence[JobPlaced]) -> set[JobId]:
        """As `place` for each of them, at once; which were."""

    async def grow(self, fact: JobScaled, granted: int, gpus: Sequence[str]) -> bool:
        """Let a job that may run `granted` copies run as many as `fact` says, on `gpus` as well.

        False: it moved on, or may run another number by now, or one of the GPUs is held.
        """

    async def shrink(self, job: JobId, attempt: int, granted: int, grants: int) -> int:
        """End what it holds for copies beyond `granted`, once those are gone; how many GPUs.

        It frees nothing when what it may run was set anew since it had been set `grants` times.
        """

    async def tell(self, fact: JobFact) -> None:
        """Announce what moves no job."""

    async def moved(self, fact: JobMoved) -> bool:
        """Write down where a running job answers. False: it moved on, or that is known."""

    async def release(self, job: JobId, attempt: int) -> int:
        """End what the attempt holds, once its processes are gone; how many GPUs that freed."""

    async def get(self, job: JobId) -> Job | None: ...


async def advance(connection: Connection, fact: JobFact, epoch: int | None = None) -> bool:
    """`Jobs.advance` inside a transaction of the caller's. With an `epoch`, it is False as well
    when a newer one has begun on the job's target."""
    return await connection.fetchval(ADVANCE, *_values(fact, epoch)) is not None


async def advance_all(connection: Connection, facts: Sequence[JobFact]) -> None:
    """`advance` for each of them, in one go. What has moved on is passed over."""
    await connection.executemany(ADVANCE, [_values(fact, None) for fact in facts])


def _values(fact: JobFact, epoch: int | None) -> tuple[Any, ...]:
    """The parameters of advance.sql."""
    move = MOVES[type(fact)]
    return (
        fact.job,
        fact.attempt,
        list(move.sources),
        move.to,
        move.next_attempt,
        getattr(fact, "reason", ""),
        _addresses(fact),
        fact.type,
        fact,
        move.in_place,
        epoch,
    )


async def scale(connection: Connection, fact: JobScaled) -> bool:
    """Let a job that is wanted have so many copies. False: it has, or it is not wanted."""
    values = (fact.job, fact.attempt, list(LIVE), fact.copies, fact.type, fact)
    return await connection.fetchval(SCALE, *values) is not None


def _addresses(fact: JobFact) -> list[str]:
    if not isinstance(fact, JobStarted):
        return []
    return list(fact.addresses) or [fact.address] * bool(fact.address)


class PostgresJobs:
    def __init__(self, database: Database, epoch: Callable[[], int | None] = lambda: None) -> None:
        """`epoch` says in which epoch of a target the caller acts: once a newer one has begun,
        nothing is written any more, and the answer is that of somebody who came too late."""
        self._database = database
        self._epoch = epoch

    async def advance(self, fact: JobFact) -> bool:
        async with self._database.connection() as connection:
            return await advance(connection, fact, self._epoch())

    async def place(self, fact: JobPlaced) -> bool:
        try:
            return bool(await self._place([fact]))
        except asyncpg.UniqueViolationError:  # one of the GPUs is held, so nothing was written
            return False

    async def place_all(self, facts: Sequence[JobPlaced]) -> set[JobId]:
        try:
            return await self._place(facts) if facts else set()
        except asyncpg.UniqueViolationError:  # by one of them, and nothing was written of any
            return {fact.job for fact in facts if await self.place(fact)}

    async def _place(self, facts: Sequence[JobPlaced]) -> set[JobId]:
        rows = await self._database.fetch(PLACE, list(facts), JobPlaced.type, self._epoch())
        return {row["subject"] for row in rows}

    async def grow(self, fact: JobScaled, granted: int, gpus: Sequence[str]) -> bool:
        values = (fact.job, fact.attempt, granted, fact.copies, gpus, fact.type, fact)
        try:
            return await self._database.value(GROW, *values, self._epoch()) is not None
        except asyncpg.UniqueViolationError:  # one of the GPUs is held, so nothing was written
            return False

    async def shrink(self, job: JobId, attempt: int, granted: int, grants: int) -> int:
        values = (job, attempt, granted, grants, GpuReleased.type, self._epoch())
        return len(await self._database.fetch(SHRINK, *values))

    async def tell(self, fact: JobFact) -> None:
        await self._database.execute(TELL, fact.job, fact.type, fact, self._epoch())

    async def moved(self, fact: JobMoved) -> bool:
        values = (fact.job, fact.attempt, fact.addresses, fact.type, fact, self._epoch())
        return await self._database.value(MOVED, *values) is not None

    async def release(self, job: JobId, attempt: int) -> int:
        values = (job, attempt, GpuReleased.type, self._epoch())
        return len(await self._database.fetch(RELEASE, *values))

    async def get(self, job: JobId) -> Job | None:
        row = await self._database.row(JOB, job)
        return None if row is None else msgspec.convert(dict(row), Job)


def jobs_from(rows: Sequence[asyncpg.Record]) -> list[Job]:
    """Rows with the columns of job.sql as jobs."""
    return msgspec.convert([dict(row) for row in rows], list[Job])
