"""From the event log to the bus: what is committed and not yet announced.

Each service runs a relay, and one of them acts at a time, by a lock that ends with its
transaction: a relay that dies or hangs while it holds the lock loses it when PostgreSQL ends the
session. First it gives places in the log to the rows that became visible, in a short transaction;
then it announces in that order. It marks a row when the bus has it, so a crash in between
announces it again and never loses it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import asyncpg
import msgspec

from shared.bus import Announcer, Bus
from shared.database.listen import listen
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Transient
from shared.events import Event
from shared.run import Loop, chain, pause
from shared.telemetry import FloorTelemetry

log = logging.getLogger(__name__)

LOCK = sql(__package__, "outbox_lock")
POSITION = sql(__package__, "outbox_position")
NEXT = sql(__package__, "outbox_next")
ANNOUNCED = sql(__package__, "outbox_announced")
BACKLOG = sql(__package__, "outbox_backlog")

POSITIONS, ANNOUNCEMENTS = 1, 2  # the two parts of the work, each with a lock of its own

CHANNEL: Final = "events"  # that wake_relay() notifies
POLL: Final = 1.0  # seconds between looks when nothing is heard
BATCH: Final = 100
SETTLE: Final = 1_000  # rows that get their place at once
REFUSED: Final = 5.0  # seconds until what the bus did not take is tried again
LONGEST: Final = 5.0  # seconds between tries while the bus or the database is away
REPORT: Final = 5.0  # seconds between looks at the backlog


class Row(NamedTuple):
    position: int
    event: Event


class Progress(NamedTuple):
    """Where to go on, and whether something was left behind."""

    after: int
    refused: bool


def progress(rows: Sequence[Row], have: Collection[str]) -> Progress:
    """What the bus's answer means for a batch.

    What it left out before the last that it took, it refuses: others may pass. What it left out
    at the end is asked again at once, unless it took nothing at all.
    """
    taken = [index for index, row in enumerate(rows) if row.event.id in have]
    if not taken:
        return Progress(rows[-1].position, refused=True)
    return Progress(rows[taken[-1]].position, refused=len(taken) <= taken[-1])


class Outbox:
    """One relay's view of the log."""

    def __init__(self, database: Database, telemetry: FloorTelemetry) -> None:
        self._database = database
        self._telemetry = telemetry
        self._after = 0
        self._again_at = 0.0  # when to ask anew for what was refused
        self._report_at = 0.0

    async def empty(self, announce: Announcer) -> None:
        """Announce all that is there. Does nothing while another relay does it."""
        while await self._settle() == SETTLE:
            pass
        if time.monotonic() >= self._again_at:
            self._after, self._again_at = 0, time.monotonic() + REFUSED
        while await self._announce(announce):
            pass

    async def report(self) -> None:
        """Tell operators about the backlog, now and then."""
        if time.monotonic() < self._report_at:
            return
        self._report_at = time.monotonic() + REPORT
        row = await self._database.row(BACKLOG)
        assert row is not None
        self._telemetry.unannounced.set(row["events"])
        self._telemetry.lag.set(row["seconds"])

    async def _settle(self) -> int:
        async with self._database.transaction() as connection:
            if not await connection.fetchval(LOCK, POSITIONS):
                return 0
            return int((await connection.execute(POSITION, SETTLE)).split()[-1])

    async def _announce(self, announce: Announcer) -> bool:
        """One batch; whether there may be more."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval(LOCK, ANNOUNCEMENTS):
                return False
            rows = [_row(row) for row in await connection.fetch(NEXT, self._after, BATCH)]
            if not rows:
                return False
            # no row is locked meanwhile, and the announcer answers within ten seconds
            have = await announce([row.event for row in rows])
            await connection.execute(ANNOUNCED, have)
        self._telemetry.announced.inc(len(have))
        self._after, refused = progress(rows, have)
        if refused:
            log.error("the bus refuses %d events; they are tried again", len(rows) - len(have))
        return True


def _row(row: asyncpg.Record) -> Row:
    event = Event(
        id=row["id"],
        source=row["source"],
        type=row["type"],
        subject=row["subject"],
        time=row["time"],
        data=msgspec.Raw(row["data"].encode()),
    )
    return Row(row["position"], event)


def relay(
    database_url: str, database: Database, bus: Bus, *, telemetry: FloorTelemetry | None = None
) -> Loop:
    """A loop that announces committed events in the order of the log, each at least once.

    It wakes a few milliseconds after a commit, and goes on trying while the bus or the database
    is away.
    """
    outbox = Outbox(database, telemetry or FloorTelemetry())

    async def loop(stopping: asyncio.Event) -> None:
        heard = asyncio.Event()
        async with bus.announcer() as announce, asyncio.TaskGroup() as group:
            group.create_task(listen(database_url, CHANNEL, heard, stopping))
            told = group.create_task(chain(stopping, heard))
            failures = 0
            while not stopping.is_set():
                heard.clear()
                try:
                    await outbox.empty(announce)
                    await outbox.report()
                    failures = 0
                    await pause(POLL, heard)
                except Transient as error:
                    log.warning("events wait: %s", error)
                    await pause(_backoff(failures), stopping)
                    failures += 1
            told.cancel()

    return loop


def _backoff(failures: int) -> float:
    return float(min(LONGEST, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0))
