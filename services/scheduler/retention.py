"""Purges jobs that were stopped, or have finished, and that nobody has used for two weeks.

They are told of it some days before. Only PostgreSQL's clock counts, and what is to happen when is
written down with the job; any move of the job takes that back. So a look may come late, twice, or
be cut short anywhere. What is left of a purged job goes as that of a terminated one does: its lines
here, its code, images and outputs when the builder next collects what nobody needs.
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.scheduler.epoch import Epoch
from shared.database import versions
from shared.database.jobs import advance
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.events import JobPurged, JobWarned
from shared.ids import JobId, VersionId
from shared.lifecycle import State

PURGE_DATES = sql(__package__, "purge_dates")
PURGE_REDATE = sql(__package__, "purge_redate")
PURGE_WARN = sql(__package__, "purge_warn")
PURGE_DUE = sql(__package__, "purge_due")
PURGE_LOGS = sql(__package__, "purge_logs")

DAY: Final = 86_400.0
AFTER: Final = 14 * DAY
NOTICE: Final = 3 * DAY
LOOK_EVERY: Final = 2.0
AT_ONCE: Final = 1_000  # rows of one statement
BEGINNING: Final = (State.STOPPED, 0)
STOPPED: Final = "nobody has used it since it was stopped; to keep it, restart it"
FINISHED: Final = "it has finished long ago; to keep what it made, download that"


class Due(msgspec.Struct, frozen=True, kw_only=True):
    job: JobId
    attempt: int
    version: VersionId
    serves_model: bool  # then its version is for others, too


class Retention:
    def __init__(
        self,
        database: Database,
        *,
        target: str,
        after: float = AFTER,
        notice: float = NOTICE,
        epoch: Epoch | None = None,
    ) -> None:
        """Seconds: `after` which a job that rests is purged (0: never), and of `notice`."""
        self._database = database
        self._target = target
        self._after = after or None
        self._notice = min(notice, after)
        self._epoch = epoch or Epoch(target)
        self._place: tuple[State, int] | None = BEGINNING  # of the first look; None: it is done

    async def keep(self) -> None:
        """Look once. Raises Transient."""
        await self._date()
        if self._after is not None:
            await self._warn()
            await self._purge(self._after)

    async def _date(self) -> None:
        """All of them at first, since the settings may be others than before."""
        values = (self._target, self._after, self._notice)
        while self._place is not None:
            async with self._epoch.transaction(self._database) as connection:
                row = await connection.fetchrow(PURGE_REDATE, *values, *self._place, AT_ONCE)
            self._place = None if row is None else (State(row["state"]), row["seq"])
        more = self._after is not None  # else none has a date, and all would be looked at for that
        while more:
            async with self._epoch.transaction(self._database) as connection:
                more = len(await connection.fetch(PURGE_DATES, *values, AT_ONCE)) == AT_ONCE

    async def _warn(self) -> None:
        values = (self._target, self._notice, AT_ONCE, JobWarned.type, STOPPED, FINISHED)
        async with self._epoch.transaction(self._database) as connection:
            await connection.fetch(PURGE_WARN, *values)

    async def _purge(self, after: float) -> None:
        rows = await self._database.fetch(PURGE_DUE, self._target, after, AT_ONCE)
        for due in msgspec.convert([dict(row) for row in rows], list[Due]):
            async with self._epoch.transaction(self._database) as connection:
                if not await advance(connection, JobPurged(job=due.job, attempt=due.attempt)):
                    continue
                await connection.execute(PURGE_LOGS, self._target, [due.job])
                if not due.serves_model:
                    await versions.forsake(connection, due.version)
