"""The GPUs of the target, as the table knows them: found or declared, merged, priced.

A GPU that is not there any more stays in the table, for the history of who held it, and is no
longer offered. Declared GPUs are numbers to queue for: nothing checks that there are such devices.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from services.scheduler.driver import Gpu
from services.scheduler.epoch import Epoch
from shared.database.events import announce
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.endpoint import gpu_type
from shared.errors import Invalid
from shared.events import Fact, GpuAppeared, GpuVanished

KNOWN_GPUS = sql(__package__, "known_gpus")
MERGE_GPUS = sql(__package__, "merge_gpus")

MOST: Final = 10_000
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.]{0,62}")

Source = Callable[[], Awaitable[Sequence[Gpu]]]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU as the table has it."""

    id: str
    type: str
    device: str
    memory: int
    node: str
    present: bool
    price: float


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

    async def refresh(self) -> None:
        """Bring the table to what is there. Nothing is written where nothing has changed."""
        found = await self._source()
        async with self._epoch.transaction(self._database) as connection:
            rows = await connection.fetch(KNOWN_GPUS, self._target)
            known = msgspec.convert([dict(row) for row in rows], list[Row])
            changed, facts = changes(known, found, self._prices)
            if not changed:
                return
            columns = ([getattr(row, name) for row in changed] for name in Row.__struct_fields__)
            await connection.execute(MERGE_GPUS, self._target, *columns)
            for fact in facts:
                await announce(connection, fact)


def changes(
    known: Sequence[Row], found: Sequence[Gpu], prices: Mapping[str, float]
) -> tuple[list[Row], list[Fact]]:
    """The rows that must be written for the table to say what was found, and what to announce."""
    before = {row.id: row for row in known}
    now = {
        gpu.id: Row(
            id=gpu.id,
            type=gpu.type,
            device=gpu.device,
            memory=gpu.memory,
            node=gpu.node,
            present=True,
            price=prices.get(gpu.type, 0.0),
        )
        for gpu in found
    }
    gone = [row for row in known if row.present and row.id not in now]
    came = [row for row in now.values() if row.id not in before or not before[row.id].present]
    changed = [row for row in now.values() if before.get(row.id) != row]
    changed += [msgspec.structs.replace(row, present=False) for row in gone]
    facts: list[Fact] = [GpuAppeared(gpu=row.id, gpu_type=row.type) for row in came]
    facts += [GpuVanished(gpu=row.id, gpu_type=row.type) for row in gone]
    return changed, facts


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
