"""The GPUs of the target, as the table knows them: found or declared, merged, priced, and judged.

A GPU that is not there any more stays in the table, for the history of who held it, and is no
longer offered. Declared GPUs are numbers to queue for: nothing checks that there are such devices.
Of others their machine says how they are (`health`): what is broken fails those who hold it, and
what was released is proven free before anybody has it again.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from services.scheduler.casualties import end
from services.scheduler.driver import Gpu
from services.scheduler.epoch import Epoch
from services.scheduler.merge import Known, Row, changes, fatal, judge, remembering
from services.scheduler.nvidia import Silent
from shared.database.events import announce
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.endpoint import gpu_type
from shared.errors import Invalid, Transient
from shared.events import Event, Fact, GpuQuarantined
from shared.run import pause

log = logging.getLogger(__name__)

KNOWN_GPUS = sql(__package__, "known_gpus")
IDLE_GPUS = sql(__package__, "idle_gpus")
MERGE_GPUS = sql(__package__, "merge_gpus")

MOST: Final = 10_000
AGAIN: Final = 1.0  # seconds to the next look while what was released is not proven free
BUNCH: Final = 0.2  # seconds in which more may be released, and memory may come back
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.]{0,62}")

Source = Callable[[], Awaitable[Sequence[Gpu]]]


class Inventory:
    def __init__(
        self,
        database: Database,
        target: str,
        source: Source,
        prices: Mapping[str, float],
        epoch: Epoch | None = None,
    ) -> None:
        self._database = database
        self._target = target
        self._source = source
        self._prices = prices
        self._epoch = epoch or Epoch(target)
        self._wake = asyncio.Event()
        self._checks = False  # whether their machine says how they are
        self._untold: dict[str, int] = {}  # Xids that are not written down: they are told once
        self._lingering: set[str] = set()  # released, and not proven free at the last look

    async def on_event(self, _: Event) -> None:
        """A GPU was released: look soon, where that has to be proven."""
        if self._checks:
            self._wake.set()

    async def act(self, stopping: asyncio.Event, *, every: float) -> None:
        """Look now and then, and soon after a release where that has to be proven."""
        while not stopping.is_set():
            self._wake.clear()
            try:
                await self.refresh()
            except Transient:
                log.warning("will try again", exc_info=True)
            await self._rest(stopping, AGAIN if self._lingering else every)
            await pause(BUNCH, stopping)

    async def refresh(self) -> None:
        """Bring the table to what is there. Nothing is written where nothing has changed."""
        # before the look, so that what is seen of their memory is nobody's
        rested = await self._database.fetch(IDLE_GPUS, self._target)
        idle = {row["id"]: row["unproven"] for row in rested}
        try:
            found = await self._source()
        except Silent as error:
            await self._doubt(f"its driver does not answer: {error}")
            return
        self._checks = any(gpu.health is not None for gpu in found)
        found, self._untold = remembering(found, self._untold)
        async with self._epoch.transaction(self._database) as connection:
            known = await self._known(connection)
            judged = judge(known, found, idle, self._lingering)
            rows = [each.row for each in known]
            changed, facts = changes(rows, found, self._prices, judged)
            await self._write(connection, changed, facts)
        self._untold = {}
        # by itself: who releases GPUs has locked the job before them
        if broken := fatal(rows, found, judged):
            async with self._epoch.transaction(self._database) as connection:
                await end(connection, broken)
        self._lingering = {id for id, (unproven, _) in judged.items() if unproven}

    async def _doubt(self, why: str) -> None:
        """Nothing can be said of any: what runs goes on, and nothing more is given."""
        async with self._epoch.transaction(self._database) as connection:
            rows = [each.row for each in await self._known(connection)]
            kept = [row for row in rows if row.checked and row.present and not row.quarantine]
            changed = [msgspec.structs.replace(row, quarantine=why) for row in kept]
            facts = [GpuQuarantined(gpu=row.id, gpu_type=row.type, reason=why) for row in kept]
            await self._write(connection, changed, facts)

    async def _known(self, connection: Connection) -> list[Known]:
        rows = map(dict, await connection.fetch(KNOWN_GPUS, self._target))
        return [
            Known(
                row=msgspec.convert(row, Row),
                quarantined_for=row["quarantined_for"],
                held=row["held"],
            )
            for row in rows
        ]

    async def _write(
        self, connection: Connection, changed: Sequence[Row], facts: Sequence[Fact]
    ) -> None:
        if not changed:
            return
        columns = ([getattr(row, name) for row in changed] for name in Row.__struct_fields__)
        await connection.execute(MERGE_GPUS, self._target, *columns)
        for fact in facts:
            await announce(connection, fact)

    async def _rest(self, stopping: asyncio.Event, seconds: float) -> None:
        """Until it is time, or something was released, or we are told to stop."""
        waits = [asyncio.create_task(each.wait()) for each in (self._wake, stopping)]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def declared(text: str, target: str) -> list[Gpu]:
    """The GPUs that SLIPWAY_GPUS declares. Raises Invalid naming the variable.

    >>> [gpu.id for gpu in declared("rtx3090:2, a100:1", "process")]
    ['process/rtx3090-0', 'process/rtx3090-1', 'process/a100-0']
    """
    gpus: list[Gpu] = []
    for kind, value in _pairs("SLIPWAY_GPUS", text, "rtx3090:4,a100:2"):
        if not value.isascii() or not value.isdigit() or not 0 < int(value[:6]) <= MOST:
            raise Invalid("SLIPWAY_GPUS", f"the count of {kind} is not a number from 1 to {MOST}")
        for number in range(int(value)):
            # each its own device number, so that two types never share one
            gpu = Gpu(id=f"{target}/{kind}-{number}", type=kind, device=str(len(gpus)))
            gpus.append(gpu)
    return gpus


def prices(text: str) -> dict[str, float]:
    """What a GPU of each type costs for an hour, from SLIPWAY_PRICES. Raises Invalid.

    >>> prices("rtx3090:0.5")
    {'rtx3090': 0.5}
    """
    found: dict[str, float] = {}
    for kind, value in _pairs("SLIPWAY_PRICES", text, "rtx3090:0.5,a100:2"):
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
            raise Invalid("SLIPWAY_PRICES", f"the price of {kind} is not a number like 0.5")
        found[kind] = float(value)
    return found


def _pairs(name: str, text: str, example: str) -> list[tuple[str, str]]:
    pairs: dict[str, str] = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        given, colon, value = item.partition(":")
        kind = gpu_type(given)
        if not colon or not _TYPE.fullmatch(kind):
            raise Invalid(name, f"{item[:40]!r} is not TYPE:NUMBER, as in {example}")
        if kind in pairs:
            raise Invalid(name, f"{kind} is given twice")
        pairs[kind] = value.strip()
    return list(pairs.items())
