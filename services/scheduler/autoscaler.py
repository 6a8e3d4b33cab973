"""Gives jobs as many copies as is asked of them; those that come are admitted by the queue as any.

Belongs to the scheduler who acts for the target. What was needed of late it keeps in memory: who
takes over begins anew, and lets nobody have fewer copies before it has watched for long enough.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec

from services.scheduler.autoscale import Demand, Past, Scaled, remember, wanted
from services.scheduler.epoch import Epoch
from shared.database import jobs
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.endpoint import Serving
from shared.events import JobScaled
from shared.ids import JobId

log = logging.getLogger(__name__)

SCALED = sql(__package__, "scaled")
DEMANDS_FORGET = sql(__package__, "demands_forget")

BY: Final = "autoscaler"
SCALE_EVERY: Final = 2.0
FRESH: Final = 30.0  # seconds for which what a router told counts: it may have died since
OLD: Final = 600.0  # ... and after which it is forgotten


class Autoscaler:
    def __init__(
        self,
        database: Database,
        *,
        target: str,
        epoch: Epoch | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` goes forward only."""
        self._database = database
        self._target = target
        self._epoch = epoch or Epoch(target)
        self._clock = clock
        self._past: dict[tuple[JobId, int], Past] = {}

    async def scale(self) -> None:
        """Look once. Raises Transient."""
        rows = await self._database.fetch(SCALED, self._target, FRESH)
        now, before, self._past = self._clock(), self._past, {}
        for row in rows:
            try:
                scaled = _scaled(row)
            except msgspec.ValidationError:  # one that can't be read must not stop all others
                log.exception("job %s is left as it is", row["job"])
                continue
            key = scaled.job, scaled.attempt
            past = self._past[key] = remember(before.get(key), scaled, now)
            copies = wanted(past, scaled, now)
            if copies != scaled.copies:
                await self._give(scaled, copies)

    async def forget(self) -> None:
        await self._database.execute(DEMANDS_FORGET, OLD)

    async def _give(self, scaled: Scaled, copies: int) -> None:
        fact = JobScaled(job=scaled.job, attempt=scaled.attempt, copies=copies, by=BY)
        async with self._epoch.transaction(self._database) as connection:
            await jobs.scale(connection, fact)


def _scaled(row: asyncpg.Record) -> Scaled:
    values = dict(row)
    demand = {name: values.pop(name) for name in Demand.__struct_fields__}
    serving = msgspec.convert(values.pop("serving"), Serving)
    values |= {"demand": demand, "concurrency": serving.concurrency}
    return msgspec.convert(values, Scaled)
