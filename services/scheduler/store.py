"""The rows that the scheduler reads and writes, beside the moves in shared.database.jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from services.scheduler import depth, look
from services.scheduler.depth import Head
from services.scheduler.driver import Replica
from services.scheduler.epoch import Epoch
from services.scheduler.owners import HALF_LIFE, Owners
from services.scheduler.queue.values import Decision, Picture
from services.scheduler.reconcile import Work
from services.scheduler.told import Line
from shared.database.jobs import RELEASE, advance
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.events import GpuReleased, JobStopped

EPOCH = sql(__package__, "epoch")
WAITING = sql(__package__, "waiting")
AT_WORK = sql(__package__, "at_work")
GPUS = sql(__package__, "gpus")
HOLDERS = sql(__package__, "holders")
DEVICES = sql(__package__, "devices")
EXPLAIN = sql(__package__, "explain")
COUNT_RESTARTS = sql(__package__, "count_restarts")
LAST_LINES = sql(__package__, "last_lines")

STUCK: Final = 300.0  # seconds: whoever ends for longer may never be gone, and is not waited for


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A target's part of the tables at one moment."""

    picture: Picture
    heads: list[Head]  # what was read of those who wait for GPUs
    works: list[Work]
    held: list[tuple[str, Replica]]  # devices, each with its holder
    waiting: Mapping[tuple[str, int], int]  # jobs in the queue by owner and class, of late

    @property
    def holders(self) -> set[Replica]:
        return {replica for _, replica in self.held}


class Store:
    def __init__(
        self,
        database: Database,
        target: str,
        epoch: Epoch | None = None,
        *,
        half_life: float = HALF_LIFE,
    ) -> None:
        self._database = database
        self.target = target
        self._epoch = epoch or Epoch(target)
        self._owners = Owners(target, half_life)
        self._times: dict[tuple[str, int], int] = {}  # its share that an owner's class is read

    async def snapshot(self) -> Snapshot:
        """Raises Deposed when another acts for the target by now."""
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            self._epoch.check(await connection.fetchval(EPOCH, self.target))
            works = await connection.fetch(AT_WORK, self.target)
            picture, heads, held = await self._picture(connection)
        return Snapshot(
            picture=picture,
            heads=heads,
            works=msgspec.convert([dict(row) for row in works], list[Work]),
            held=held,
            waiting=self._owners.waiting,
        )

    async def _picture(
        self, connection: Connection
    ) -> tuple[Picture, list[Head], list[tuple[str, Replica]]]:
        owners = await self._owners.read(connection)
        deep = list(self._times)
        rows = await connection.fetch(
            WAITING,
            self.target,
            depth.GPUS,
            depth.NO_GPUS,
            [owner for owner, _ in deep],
            [priority for _, priority in deep],
            list(self._times.values()),
        )
        gpus = await connection.fetch(GPUS, self.target)
        heads = look.heads(rows)
        picture = Picture(
            waiting=look.waiting(rows),
            slots=look.slots(gpus),
            holders=look.holders(await connection.fetch(HOLDERS, self.target, STUCK)),
            quotas=await self._owners.quotas(connection),
            owners=owners,
            behind=look.behind(heads, self._owners.wanting),
        )
        return picture, heads, look.held(gpus)

    def decided(self, snapshot: Snapshot, decision: Decision) -> None:
        """What was decided says how deep the queue has to be read the next time."""
        self._times = depth.deeper(self._times, snapshot.heads, decision)

    async def devices(self, replica: Replica, copies: int) -> tuple[str, ...]:
        """The GPUs of so many of its copies, by what the driver's inventory calls them."""
        rows = await self._database.fetch(DEVICES, replica.job, replica.attempt, copies)
        return tuple(row["device"] for row in rows)

    async def explain(self, lines: Sequence[Line]) -> None:
        """Write down why jobs wait in the queue, and what is wrong with those that have begun.
        Nothing is written where it is known."""
        if lines:
            await self._database.execute(
                EXPLAIN,
                [line.replica.job for line in lines],
                [line.replica.attempt for line in lines],
                [line.reason for line in lines],
                [line.waits for line in lines],
                [line.queued for line in lines],
                self._epoch(),
            )

    async def count(self, restarts: Mapping[Replica, int]) -> None:
        if restarts:
            await self._database.execute(
                COUNT_RESTARTS,
                [replica.job for replica in restarts],
                [replica.attempt for replica in restarts],
                list(restarts.values()),
                self._epoch(),
            )

    async def ended(self, replica: Replica) -> bool:
        """Nothing of it runs any more: free its GPUs and, if it was to stop, call it stopped.

        All in one transaction, so that nobody sees a stopped job that holds GPUs.
        """
        fact = JobStopped(job=replica.job, attempt=replica.attempt)
        async with self._epoch.transaction(self._database) as connection:
            stopped = await advance(connection, fact)
            await connection.fetch(RELEASE, replica.job, replica.attempt, GpuReleased.type, None)
        return stopped

    async def last_lines(self, replica: Replica, count: int) -> list[str]:
        rows = await self._database.fetch(LAST_LINES, replica.job, replica.attempt, count)
        return [row["text"] for row in reversed(rows)]
