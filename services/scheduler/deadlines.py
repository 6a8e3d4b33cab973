"""Carries out what is due: jobs fail that were to start by now, give way, or end; and those that
will have to are warned.

Each is one guarded statement, so it may be done late, twice or by two; what a crash left undone is
still due at the next look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from services.scheduler.driver import Replica
from services.scheduler.due import Due, moved
from services.scheduler.epoch import Epoch
from services.scheduler.queue.values import Yielding
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.events import JobWarned
from shared.ids import JobId

DUE = sql(__package__, "due")
WARN = sql(__package__, "warn")
LET_OFF = sql(__package__, "let_off")
TELL_END = sql(__package__, "tell_end")

AT_ONCE: Final = 100  # of each kind, at one look
NOTICE: Final = 60.0  # seconds before its end in which an owner is told; half of a shorter run


class Deadlines:
    def __init__(self, database: Database, epoch: Epoch) -> None:
        self._database = database
        self._epoch = epoch
        self._jobs = PostgresJobs(database, epoch)

    async def meet(self, over: Collection[Replica] = ()) -> Counter[str]:
        """Do what is due; how many there were of each kind. `over` are those that have ended by
        themselves: they have ended in time, however late that is written down."""
        jobs, attempts = [each.job for each in over], [each.attempt for each in over]
        values = (self._epoch.target, NOTICE, AT_ONCE, jobs, attempts)
        rows = await self._database.fetch(DUE, *values)
        done: Counter[str] = Counter()
        for due in msgspec.convert([dict(row) for row in rows], list[Due]):
            done[due.what] += await self._meet(due)
        return done

    async def warn(self, yielding: Sequence[Yielding], notice: float) -> None:
        """Tell them that they have to give way in so many seconds. Who knows is not told again."""
        if yielding:
            facts = [
                {"job": each.job, "attempt": each.attempt, "what": "preemption"}
                | {"reason": each.reason}
                for each in yielding
            ]
            waiting = [each.to for each in yielding]
            values = (facts, waiting, notice, JobWarned.type, self._epoch())
            await self._database.execute(WARN, *values)

    async def let_off(self, jobs: Sequence[JobId]) -> None:
        """They were warned, and need not give way any more."""
        if jobs:
            await self._database.execute(LET_OFF, list(jobs), self._epoch())

    async def _meet(self, due: Due) -> bool:
        if due.what == "tell":
            return await self._tell(due)
        fact = moved(due)
        return fact is not None and await self._jobs.advance(fact)

    async def _tell(self, due: Due) -> bool:
        reason = f"it may run for {due.run_at_most:g} s"
        told = {"job": due.job, "attempt": due.attempt, "what": "run limit", "reason": reason}
        values = (due.job, due.attempt, JobWarned.type, told, self._epoch())
        return await self._database.value(TELL_END, *values) is not None
