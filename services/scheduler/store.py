"""The rows that the scheduler reads and writes, beside the moves in shared.database.jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from services.scheduler.driver import Replica
from services.scheduler.reconcile import Work
from services.scheduler.shelf import Slot, Waiting
from shared.database.jobs import RELEASE, advance
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.events import GpuReleased, JobStopped

WAITING = sql(__package__, "waiting")
AT_WORK = sql(__package__, "at_work")
GPUS = sql(__package__, "gpus")
DEVICES = sql(__package__, "devices")
EXPLAIN = sql(__package__, "explain")
COUNT_RESTARTS = sql(__package__, "count_restarts")
PURGE_LOGS = sql(__package__, "purge_logs")
LAST_LINES = sql(__package__, "last_lines")

WITHOUT_GPU: Final = 1_000
WITH_GPU: Final = 10_000
"""How far down the queue one look goes."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A target's part of the tables at one moment."""

    waiting: list[Waiting]
    works: list[Work]
    slots: list[Slot]  # of the GPUs that are present
    holders: set[Replica]


class Store:
    def __init__(self, database: Database, target: str) -> None:
        self._database = database
        self.target = target

    async def snapshot(self) -> Snapshot:
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            waiting = await connection.fetch(WAITING, self.target, WITHOUT_GPU, WITH_GPU)
            works = await connection.fetch(AT_WORK, self.target)
            gpus = await connection.fetch(GPUS, self.target)
        return Snapshot(
            waiting=msgspec.convert([dict(row) for row in waiting], list[Waiting]),
            works=msgspec.convert([dict(row) for row in works], list[Work]),
            slots=[
                Slot(
                    gpu=row["id"],
                    type=row["type"],
                    node=row["node"],
                    price=row["price"],
                    free=row["job"] is None,
                    job=row["job"],
                )
                for row in gpus
                if row["present"]
            ],
            holders={Replica(row["job"], row["attempt"]) for row in gpus if row["job"] is not None},
        )

    async def devices(self, replica: Replica, copies: int) -> tuple[str, ...]:
        """The GPUs of so many of its copies, by what the driver's inventory calls them."""
        rows = await self._database.fetch(DEVICES, replica.job, replica.attempt, copies)
        return tuple(row["device"] for row in rows)

    async def explain(
        self, queued: Mapping[Replica, str], begun: Mapping[Replica, str] | None = None
    ) -> None:
        """Write down why jobs wait in the queue, and what is wrong with those that have begun.
        Nothing is written where it is known."""
        told = [(*each, True) for each in queued.items()]
        told += [(*each, False) for each in (begun or {}).items()]
        if told:
            await self._database.execute(
                EXPLAIN,
                [replica.job for replica, _, _ in told],
                [replica.attempt for replica, _, _ in told],
                [reason for _, reason, _ in told],
                [waits for _, _, waits in told],
            )

    async def count(self, restarts: Mapping[Replica, int]) -> None:
        if restarts:
            await self._database.execute(
                COUNT_RESTARTS,
                [replica.job for replica in restarts],
                [replica.attempt for replica in restarts],
                list(restarts.values()),
            )

    async def ended(self, replica: Replica) -> bool:
        """Nothing of it runs any more: free its GPUs and, if it was to stop, call it stopped.

        All in one transaction, so that nobody sees a stopped job that holds GPUs.
        """
        fact = JobStopped(job=replica.job, attempt=replica.attempt)
        async with self._database.transaction() as connection:
            stopped = await advance(connection, fact)
            await connection.fetch(RELEASE, replica.job, replica.attempt, GpuReleased.type, None)
        return stopped

    async def last_lines(self, replica: Replica, count: int) -> list[str]:
        rows = await self._database.fetch(LAST_LINES, replica.job, replica.attempt, count)
        return [row["text"] for row in reversed(rows)]

    async def purge_logs(self) -> None:
        await self._database.execute(PURGE_LOGS, self.target)
