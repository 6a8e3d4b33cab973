"""Forgets what jobs printed that are gone for good: at once when that is told, and else soon.

News may be lost, and lines may be written at the very moment at which their job goes; so each job
is swept once more after that. Nothing is kept of it from then on: see shared/database/sql/log_keep.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Transient
from shared.events import Event
from shared.run import chain, pause

log = logging.getLogger(__name__)

PURGE_LOGS = sql(__package__, "purge_logs")
SWEEP_LOGS = sql(__package__, "sweep_logs")

EVERY: Final = 20.0  # seconds
BUNCH: Final = 0.2  # seconds in which more may be told
LATE: Final = 30.0  # seconds after which nobody writes lines of a job any more that went
AT_ONCE: Final = 20  # jobs of one statement: each may have 50,000 lines
MOST: Final = 10_000  # that were told of and are not swept yet: more than that wait for the broom


class Eraser:
    def __init__(self, database: Database, target: str, *, late: float = LATE) -> None:
        self._database = database
        self._target = target
        self._late = late
        self._told: set[str] = set()
        self._wake = asyncio.Event()

    async def on_event(self, event: Event) -> None:
        """A job was terminated."""
        if len(self._told) < MOST:
            self._told.add(event.subject)
        self._wake.set()

    async def act(self, stopping: asyncio.Event) -> None:
        """Erase whenever something is told, and every now and then."""
        telling = asyncio.create_task(chain(stopping, self._wake))
        try:
            while not stopping.is_set():
                self._wake.clear()
                await self._erase(stopping)
                await pause(BUNCH, stopping)
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):
                        await self._wake.wait()
        finally:
            telling.cancel()

    async def erase(self) -> bool:
        """What was told of, and some of what is to be swept; whether there is more of that."""
        told = sorted(self._told)
        for at in range(0, len(told), AT_ONCE):
            jobs = told[at : at + AT_ONCE]
            await self._database.execute(PURGE_LOGS, self._target, jobs)
            self._told.difference_update(jobs)
        swept = await self._database.fetch(SWEEP_LOGS, self._target, self._late, AT_ONCE)
        return len(swept) == AT_ONCE

    async def _erase(self, stopping: asyncio.Event) -> None:
        try:
            while await self.erase() and not stopping.is_set():
                pass
        except Transient:
            log.warning("will try again", exc_info=True)
