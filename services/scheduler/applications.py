"""Settles applications, and ends servables that nobody needs any more.

Both are looks at the tables, and belong to the scheduler who acts for the target. Whatever follows
is a statement that is guarded by what is written down, so a look may come late, twice, or be cut
short anywhere: the next one goes on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec

from services.scheduler.epoch import Epoch
from services.scheduler.settle import Assembly, Unneeded, ended, settled
from shared.database import applications
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Transient
from shared.events import (
    ApplicationReady,
    ApplicationSubmitted,
    Event,
    Fact,
    JobFailed,
    JobRestarted,
    JobStarted,
    JobStopped,
)
from shared.lifecycle import LIVE
from shared.run import chain, pause

UNSETTLED = sql(__package__, "unsettled")
UNNEEDED = sql(__package__, "unneeded")

log = logging.getLogger(__name__)

WAKE: Final[tuple[type[Fact], ...]] = (
    ApplicationSubmitted,
    JobStarted,
    JobFailed,
    JobStopped,
    JobRestarted,
)
"""The facts after which there may be something to settle."""

END_EVERY: Final = 2.0  # seconds between two looks for what nobody needs
BUNCH: Final = 0.05  # seconds in which more news may come
RETIRE: Final = 15.0
HOPELESS: Final = 600.0
AT_ONCE: Final = 100  # jobs that one look ends
LONGEST: Final = 10.0  # seconds to the next look while the tables are away


class Applications:
    def __init__(
        self,
        database: Database,
        *,
        target: str,
        retire: float = RETIRE,
        hopeless: float = HOPELESS,
        epoch: Epoch | None = None,
    ) -> None:
        """`retire` is for how many seconds a revision that was replaced may still be asked, and
        `hopeless` for how many one that failed keeps those of its servables that are well."""
        self._database = database
        self._target = target
        self._retire = retire
        self._hopeless = hopeless
        self._epoch = epoch or Epoch(target)
        self._jobs = PostgresJobs(database, self._epoch)
        self._wake = asyncio.Event()

    async def on_event(self, event: Event) -> None:
        """Something happened: look soon. What it was, the tables say."""
        self._wake.set()

    async def act(self, stopping: asyncio.Event, *, every: float = 1.0) -> None:
        """Settle applications until told to stop."""
        told = asyncio.create_task(chain(stopping, self._wake))
        away = every
        try:
            while not stopping.is_set():
                self._wake.clear()
                try:
                    await self.settle()
                    away = every
                except Transient:
                    log.warning("applications: will look again", exc_info=True)
                    await pause(away, stopping)
                    away = min(away * 2, max(every, LONGEST))
                await pause(every, self._wake)
                await pause(BUNCH, stopping)
        finally:
            told.cancel()

    async def settle(self) -> None:
        """Write down which applications answer by now, and which can't."""
        rows = await self._database.fetch(UNSETTLED, self._target, list(LIVE))
        for row in rows:
            try:
                fact = settled(msgspec.convert(dict(row), Assembly))
            except msgspec.ValidationError:  # one that can't be read must not stop all others
                log.exception("application %s is left as it is", row["application"])
                continue
            if fact is None:
                continue
            async with self._epoch.transaction(self._database) as connection:
                if isinstance(fact, ApplicationReady):
                    await applications.ready(connection, fact)
                else:
                    await applications.fail(connection, fact)

    async def end(self) -> None:
        """Stop and terminate servables that no revision needs any more."""
        async with self._epoch.transaction(self._database) as connection:
            await applications.retire(connection, self._target, self._hopeless)
        rows = await self._database.fetch(UNNEEDED, self._target, self._retire, AT_ONCE)
        for unneeded in msgspec.convert([dict(row) for row in rows], list[Unneeded]):
            if (fact := ended(unneeded)) is not None:
                await self._jobs.advance(fact)
