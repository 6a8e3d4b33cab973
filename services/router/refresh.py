"""Keeps the table fresh. Events say what to look at again; looking is done by one loop, so looks
never overtake one another. Every few seconds it looks at everything, whatever events said or
failed to say; while PostgreSQL is away the table is served as it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from services.router.gateway.targets import Application
from services.router.snapshot import Source
from services.router.table import Table
from shared import ids
from shared.bus import Bus
from shared.errors import Transient
from shared.events import (
    AliasMoved,
    ApplicationFact,
    Event,
    JobFact,
    JobFailed,
    JobFinished,
    JobLost,
    JobStopped,
    JobStopping,
    VersionFact,
)
from shared.ids import JobId, VersionId
from shared.run import Loop, pause

log = logging.getLogger(__name__)

TOPICS: Final = (
    "slipway.job.#",
    "slipway.alias.#",
    "slipway.version.#",
    "slipway.application.#",
)
RESYNC: Final = 10.0  # seconds between looks at everything
AGAIN: Final = 0.5  # seconds before the next try when PostgreSQL is away
CLOSING: Final = (JobStopping, JobStopped, JobLost, JobFailed, JobFinished)
"""After these an attempt never answers again."""


class Refresh:
    """`table` is its to change. `ready` is set once the table has been filled."""

    def __init__(self, source: Source, table: Table, resync: float = RESYNC) -> None:
        self.ready = asyncio.Event()
        self._source = source
        self._table = table
        self._resync = resync
        self._woken = asyncio.Event()
        self._jobs: set[JobId] = set()
        self._versions: set[VersionId] = set()
        self._deployments: set[str] = set()
        self._applications: set[str] = set()

    async def on_event(self, event: Event) -> None:
        """Mark what is to be looked at again. Safe to be told twice, late, or out of order."""
        match event.fact():
            case JobFact() as fact:
                if isinstance(fact, CLOSING):
                    self._table.close(fact.job, fact.attempt)
                self._jobs.add(fact.job)
            case AliasMoved(deployment=deployment):
                self._deployments.add(deployment)
            case VersionFact(version=version):
                self._versions.add(version)
            case ApplicationFact(application=application):
                self._applications.add(application)
            case _:
                return
        self._woken.set()

    def loops(self, bus: Bus) -> Sequence[Loop]:
        """What keeps the table fresh: one subscription of this process's own, and the looking."""
        queue = ids.new("router-")
        return [bus.subscribe(queue, TOPICS, self.on_event, lasting=False), self.loop]

    async def loop(self, stopping: asyncio.Event) -> None:
        settled = False
        whole = time.monotonic()  # when everything is next to be looked at
        async with _wakes(stopping, self._woken):
            while not stopping.is_set():
                self._woken.clear()
                try:
                    if time.monotonic() >= whole:
                        await self.everything()
                        whole = time.monotonic() + (self._resync if settled else self._resync / 10)
                        settled = True  # the first look may have come before the subscription
                    else:
                        await self.marked()
                except Transient as error:
                    log.warning("the table stays as it is: %s", error)
                    await pause(AGAIN, stopping)
                    continue
                await _until(self._woken, whole)

    async def everything(self) -> None:
        """Look at all there is. What is marked meanwhile stays marked."""
        with self._taken():
            routes, aliases, applications = await self._source.everything()
        self._table.replace(routes, aliases, applications)
        self.ready.set()

    async def marked(self) -> None:
        """Look at what is marked, and mark it again when that fails."""
        with self._taken() as (jobs, versions, deployments, ids):
            applications = await self._source.applications(ids) if ids else []
            jobs |= self._unknown(applications)
            if jobs or versions:
                routes = await self._source.routes(jobs, versions)
                self._table.put(routes, jobs - {route.job for route in routes})
            if deployments:
                self._table.point(await self._source.aliases(deployments), deployments)
            if ids:
                self._table.settle(applications, ids)

    def _unknown(self, applications: Sequence[Application]) -> set[JobId]:
        """The jobs of applications that are not known to run: their own news may be late."""
        graphs = [application.graph for application in applications]
        jobs = {job for graph in graphs if graph is not None for job in graph.jobs}
        return {job for job in jobs if not ((route := self._table.job(job)) and route.runs)}

    @contextmanager
    def _taken(self) -> Iterator[tuple[set[JobId], set[VersionId], set[str], set[str]]]:
        """What is marked. It is unmarked now, and marked again if the look at it fails."""
        jobs, versions, deployments = self._jobs, self._versions, self._deployments
        applications = self._applications
        self._jobs, self._versions = set(), set()
        self._deployments, self._applications = set(), set()
        try:
            yield jobs, versions, deployments, applications
        except BaseException:
            self._jobs |= jobs
            self._versions |= versions
            self._deployments |= deployments
            self._applications |= applications
            raise


@asynccontextmanager
async def _wakes(stopping: asyncio.Event, woken: asyncio.Event) -> AsyncIterator[None]:
    """Inside, being told to stop wakes too."""

    async def wake() -> None:
        await stopping.wait()
        woken.set()

    task = asyncio.create_task(wake())
    try:
        yield
    finally:
        task.cancel()


async def _until(woken: asyncio.Event, moment: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, moment - time.monotonic())):
            await woken.wait()
    except TimeoutError:
        pass
