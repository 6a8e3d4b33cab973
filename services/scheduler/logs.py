"""Ships what replicas print into the `logs` table.

Each round takes one page from every replica, so a chatty one delays nobody, and the next round
waits until the database has taken this one: whoever prints faster than that loses lines at the
driver, which says how many. Shipping goes on after the last line that the table has, so neither a
crash nor a second shipper can double a line.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from services.scheduler.driver import Driver, Replica
from shared.database import logs
from shared.database.logs import Line
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Transient
from shared.run import pause

PRUNE_LOGS = sql(__package__, "prune_logs")

KEPT: Final = 50_000  # lines of one job
SLACK: Final = 1_000  # lines it may have above that before they are pruned
LONGEST: Final = 8 << 10  # bytes of one line
LONGEST_REST: Final = 10.0  # seconds between two rounds while the target or the database is away
PAGES: Final = 50  # that `finish` reads at most: whoever prints on and on is not waited for

_ESCAPES: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """As a person may read it: no colours, no control characters, not too long.

    >>> clean("\\x1b[31mred\\x1b[0m\\x00 10%\\r 90%")
    ' 90%'
    """
    text = _ESCAPES.sub("", text.rstrip("\r\n"))
    text = text.rsplit("\r", 1)[-1]  # what a terminal would show in the end
    body = _CONTROLS.sub("", text).encode("utf-8", "replace")
    if len(body) <= LONGEST:
        return body.decode()
    return body[: LONGEST - 3].decode("utf-8", "ignore") + "…"


class Shipper:
    def __init__(self, database: Database, driver: Driver, *, kept: int = KEPT) -> None:
        self._database = database
        self._driver = driver
        self._kept = kept
        self._at: dict[Replica, int] = {}  # the last line that the table has
        self._seen: dict[Replica, dict[str, str]] = {}  # how far each source has been read
        self._unpruned: Counter[Replica] = Counter()
        self._locks: dict[Replica, asyncio.Lock] = {}

    async def loop(self, stopping: asyncio.Event, *, seconds: float = 0.5) -> None:
        rest = seconds
        while not stopping.is_set():
            try:
                rest = seconds / 10 if await self.round() else seconds
            except Transient:  # the lines stay where they are
                rest = min(max(rest, seconds) * 2, max(seconds, LONGEST_REST))
            await pause(rest, stopping)

    async def round(self) -> bool:
        """Ship a page of every replica; whether there is more."""
        observed = await self._driver.observe()
        for gone in self._at.keys() - observed.keys():
            self.forget(gone)
        counts = []
        for replica in observed:
            with suppress(Transient):  # one whose machine is away holds up no other
                counts.append(await self.ship(replica))
        return any(counts)

    async def ship(self, replica: Replica) -> int:
        """Ship one page; how many lines that were."""
        async with self._locks.setdefault(replica, asyncio.Lock()):
            if replica not in self._at:
                of = (self._database, replica.job, replica.attempt)
                self._seen[replica] = await logs.stamps(*of)
                self._at[replica] = await logs.last(*of)
            lines = await self._driver.logs(replica, self._at[replica], self._seen[replica])
            if lines:
                await self._keep(replica, lines)
            return len(lines)

    async def finish(self, replica: Replica) -> None:
        """Ship all that there is now: before something is said of the job that ends its log."""
        for _ in range(PAGES):
            if await self.ship(replica) == 0:
                return

    def forget(self, replica: Replica) -> None:
        for kept in (self._at, self._seen, self._unpruned, self._locks):
            kept.pop(replica, None)

    async def _keep(self, replica: Replica, lines: Sequence[Line]) -> None:
        tidy = [msgspec.structs.replace(line, text=clean(line.text)) for line in lines]
        await logs.keep(self._database, replica.job, replica.attempt, tidy)
        self._at[replica] = lines[-1].line
        for line in lines:
            if line.source:
                newest = self._seen[replica].get(line.source, "")
                self._seen[replica][line.source] = max(newest, line.stamp)
        self._unpruned[replica] += len(lines)
        if self._unpruned[replica] >= min(SLACK, self._kept):
            await self._database.execute(PRUNE_LOGS, replica.job, self._kept)
            self._unpruned[replica] = 0
