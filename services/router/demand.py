"""Tells what is asked of the jobs that are scaled by it: how many requests are in hand, how many
wait for a place, and how many were turned away.

The request path only counts. A loop looks at the gates often enough for a mean, and writes that
down every few seconds, of all jobs by one statement. What could not be written is not made up for:
what is written next is newer. Of jobs of which nothing is asked it is said less often.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import msgspec

from services.router.gate import Gate
from shared import ids
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Transient
from shared.ids import JobId
from shared.run import pause

log = logging.getLogger(__name__)

DEMANDS_TELL = sql(__package__, "demands_tell")

LOOK: Final = 0.1  # seconds between two looks at the gates
TELL: Final = 2.0  # ... between two times that it is told
REPEAT: Final = 10.0  # ... and of what is idle: what is older than 30 s counts for nothing


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    job: JobId
    inside: float = 0.0  # requests in hand, a mean since it was last told
    waiting: float = 0.0  # those that wait for a place, likewise
    turned_away: float = 0.0  # in a second
    seconds: float = 0.0  # that a request takes; 0: not known yet

    @property
    def none(self) -> bool:
        return self.inside == self.waiting == self.turned_away == 0


class _Watch:
    """What is gathered of one job until it is told."""

    def __init__(self, now: float, gate: Gate | None) -> None:
        self.since = now
        self.busy: float | None = None  # when it last was
        self.told = float("-inf")  # when; an idle one is not told of each time
        self.idle = False  # whether it was told so
        self._looks = self._inside = self._waiting = 0
        self._asked = 0 if gate is None else gate.asked  # by the last time
        self._turned_away = 0 if gate is None else gate.turned_away

    def look(self, gate: Gate, now: float) -> None:
        self._looks += 1
        self._inside += gate.inside
        self._waiting += gate.queued
        if not gate.idle:
            self.busy = now

    def sum(self, job: JobId, gate: Gate | None, now: float) -> Demand:
        """All since the last time; what comes next begins anew."""
        looks, passed = max(1, self._looks), max(now - self.since, 0.001)
        inside, waiting = self._inside / looks, self._waiting / looks
        turned_away, seconds = 0, 0.0
        if gate is not None:
            turned_away, seconds = max(0, gate.turned_away - self._turned_away), gate.seconds
            if gate.asked != self._asked:
                self.busy = now
            self._asked, self._turned_away = gate.asked, gate.turned_away
        self.since = now
        self._looks = self._inside = self._waiting = 0
        return Demand(
            job=job,
            inside=inside,
            waiting=waiting,
            turned_away=turned_away / passed,
            seconds=seconds,
        )


class Demands:
    def __init__(
        self,
        database: Database,
        scaled: Callable[[], Collection[JobId]],
        gate: Callable[[JobId], Gate | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`scaled` says which jobs are to be told of, and `gate` where requests to one of them
        wait, if there were any."""
        self.router = ids.new("router-")
        self._database = database
        self._scaled = scaled
        self._gate = gate
        self._clock = clock
        self._watched: dict[JobId, _Watch] = {}

    async def loop(self, stopping: asyncio.Event) -> None:
        due = self._clock()
        while not stopping.is_set():
            self.look()
            if self._clock() >= due:
                due = self._clock() + TELL
                await self._try(self.tell())
            await pause(LOOK if self._watched else TELL, stopping)
        await self._try(self.leave())

    def look(self) -> None:
        """Count what is there at this moment."""
        now = self._clock()
        for job, watch in self._watched.items():
            if gate := self._gate(job):
                watch.look(gate, now)

    async def tell(self) -> None:
        """Write down what there was since the last time. Raises Transient."""
        now, jobs = self._clock(), self._scaled()
        before, self._watched = (
            self._watched,
            {job: self._watched.get(job) or _Watch(now, self._gate(job)) for job in jobs},
        )
        told, kept = [], []
        for job, watch in self._watched.items():
            demand = watch.sum(job, self._gate(job), now)
            idle = demand.none and watch.busy != now
            if idle and watch.idle and now - watch.told < REPEAT:
                kept.append(job)
                continue
            watch.told, watch.idle = now, idle
            told.append((demand, None if watch.busy is None else now - watch.busy))
        if told or before.keys() - self._watched.keys():
            await self._write(told, kept)

    async def leave(self) -> None:
        """Take back what was told: whoever takes over tells of it."""
        await self._write([], [])

    async def _write(
        self, told: Sequence[tuple[Demand, float | None]], kept: Sequence[JobId]
    ) -> None:
        await self._database.execute(
            DEMANDS_TELL,
            self.router,
            [demand.job for demand, _ in told],
            [demand.inside for demand, _ in told],
            [demand.waiting for demand, _ in told],
            [demand.turned_away for demand, _ in told],
            [demand.seconds for demand, _ in told],
            [idle for _, idle in told],
            kept,
        )

    async def _try(self, telling: Awaitable[None]) -> None:
        try:
            await telling
        except Transient as error:
            log.warning("what is asked of jobs was not told: %s", error)
