"""The owners of the drill's jobs: they stop them at any moment, and start them again."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import msgspec

from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.endpoint import Command, Definition, Endpoint
from shared.events import JobPlaced, JobQueued, JobRestarted, JobStopping
from shared.ids import JobId
from shared.lifecycle import MOVES, QUEUED, RUNNING, STARTING, State

SUBMIT = sql(__package__, "submit")
FOUND = sql(__package__, "found")
BEHIND = sql(__package__, "behind")
RACED = sql(__package__, "raced")
STANDING = sql(__package__, "standing")

IMAGE: Final = "sha256:" + "1" * 64
AHEAD: Final = 3  # places that a job may have had more than another
MOVED: Final = [fact.type for fact in MOVES]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    unended: int  # jobs
    unplaced: int  # jobs that never had a place
    given: int  # GPUs, from the beginning
    held: int


class Owners:
    def __init__(self, database: Database, rng: random.Random) -> None:
        self._database = database
        self._jobs = PostgresJobs(database)
        self._rng = rng

    async def submit(self, count: int, sizes: list[int]) -> list[JobId]:
        endpoint = Endpoint(
            name="predict",
            format="valohai",
            entry=Command(lines=("serve",)),
            port=8000,
            readiness="listening",
        )
        definition = Definition(source="sha256:" + "0" * 64, endpoints=(endpoint,))
        rows = await self._database.fetch(SUBMIT, count, definition, {"predict": IMAGE}, sizes)
        jobs = [JobId(row["id"]) for row in rows]
        for job in jobs:
            await self._jobs.advance(JobQueued(job=job))
        return jobs

    async def meddle(self, calm: asyncio.Event, seconds: float) -> None:
        """Stop some of what begins or runs, and a few of what waits; start what had stopped, but
        seldom what had more places than others: else those of a low class would never have one."""
        while not calm.is_set():
            await self._stop((STARTING,), 6)
            await self._stop((RUNNING,), 12)
            await self._stop((QUEUED,), 1)
            await self._restart(1, 16)
            if self._rng.random() < 0.1:
                await self._restart(AHEAD, 1)
            await asyncio.sleep(self._rng.uniform(0.0, seconds))

    async def stop_all(self) -> None:
        await self._stop((QUEUED, STARTING, RUNNING), 100)

    async def standing(self) -> Standing:
        row = await self._database.row(STANDING)
        return msgspec.convert(dict(row or {}), Standing)

    async def raced(self) -> int:
        """Stops that met a job between its place and its start, as the event log tells it."""
        return int(await self._database.value(RACED, MOVED, JobStopping.type, JobPlaced.type))

    async def _stop(self, states: tuple[State, ...], count: int) -> None:
        for row in await self._database.fetch(FOUND, list(states), count):
            await self._jobs.advance(JobStopping(job=row["job"], attempt=row["attempt"]))

    async def _restart(self, ahead: int, count: int) -> None:
        for row in await self._database.fetch(BEHIND, ahead, count):
            await self._jobs.advance(JobRestarted(job=row["job"], attempt=row["attempt"]))
