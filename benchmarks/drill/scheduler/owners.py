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
from shared.events import JobQueued, JobRestarted, JobStopping
from shared.ids import JobId
from shared.lifecycle import QUEUED, RUNNING, STARTING, STOPPED, State

SUBMIT = sql(__package__, "submit")
FOUND = sql(__package__, "found")
STANDING = sql(__package__, "standing")

IMAGE: Final = "sha256:" + "1" * 64


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    unended: int  # jobs
    given: int  # GPUs, from the beginning
    held: int


class Owners:
    def __init__(self, database: Database, rng: random.Random) -> None:
        self._database = database
        self._jobs = PostgresJobs(database)
        self._rng = rng
        self.raced = 0  # stops of jobs that were about to start

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
        """Stop some of what begins or runs, and a few of what waits; start what had stopped."""
        while not calm.is_set():
            await self._stop((RUNNING,), 12)
            await self._stop((STARTING,), 3)
            await self._stop((QUEUED,), 1)
            for job, attempt, _ in await self._found((STOPPED,), 16):
                await self._jobs.advance(JobRestarted(job=job, attempt=attempt))
            await asyncio.sleep(self._rng.uniform(0.0, seconds))

    async def stop_all(self) -> None:
        await self._stop((QUEUED, STARTING, RUNNING), 100)

    async def standing(self) -> Standing:
        row = await self._database.row(STANDING)
        return msgspec.convert(dict(row or {}), Standing)

    async def _stop(self, states: tuple[State, ...], count: int) -> None:
        for job, attempt, state in await self._found(states, count):
            stopped = await self._jobs.advance(JobStopping(job=job, attempt=attempt))
            self.raced += stopped and state in (QUEUED, STARTING)

    async def _found(self, states: tuple[State, ...], count: int) -> list[tuple[JobId, int, State]]:
        rows = await self._database.fetch(FOUND, list(states), count)
        return [(JobId(row["job"]), row["attempt"], State(row["state"])) for row in rows]
