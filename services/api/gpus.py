"""GPUs as people see them: how many of a type, how many free; and whether a wish can be met."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from services.api.answer import Answer
from services.api.call import Call
from services.api.context import Context
from services.api.types import GpuType, NoQuery, Page, Target
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.endpoint import Endpoint, Gpus
from shared.errors import Invalid
from shared.target import kind

GPU_TYPES = sql(__package__, "gpu_types")
QUEUE = sql(__package__, "queue")

LATE: Final = 1.0  # seconds
COPIES: Final = ("replicas", "autoscaling.min")
"""The fields that say with how many copies an endpoint begins."""


class Stock(msgspec.Struct, frozen=True, kw_only=True):
    """What a target has, and the wishes that are ahead in its queue (empty: any type)."""

    types: tuple[GpuType, ...]
    ahead: tuple[tuple[str, ...], ...] = ()

    def fitting(self, wish: Gpus) -> list[GpuType]:
        """The types that can ever meet the wish, the preferred first."""
        named = {gpu.type: gpu for gpu in self.types}
        asked = [named[name] for name in wish.types if name in named]
        price = float("inf") if wish.max_price is None else wish.max_price
        return [
            gpu
            for gpu in (asked if wish.types else self.types)
            if (gpu.together or gpu.total) >= wish.count and gpu.price_per_hour <= price
        ]

    def room(self, wish: Gpus) -> int:
        """For how many copies there are GPUs of one type, held or not."""
        return max((gpu.total // wish.count for gpu in self.fitting(wish)), default=0)


def check(endpoint: Endpoint, stock: Stock) -> Invalid | None:
    """Why the endpoint can never have the GPUs it wants on this target."""
    wish = endpoint.gpus
    if wish.count == 0:
        return None
    if stock.fitting(wish):
        field = "replicas" if endpoint.autoscaling is None else "autoscaling.min"
        return room(endpoint, endpoint.copies, stock, field)
    names = [gpu.type for gpu in stock.types]
    unknown = [name for name in wish.types if name not in names]
    if unknown:
        allowed = ", ".join([*names, "cpu"])
        return Invalid("gpu_types", f"must be of {allowed}; this target has no {unknown[0][:40]}")
    if wish.max_price is not None and stock.fitting(msgspec.structs.replace(wish, max_price=None)):
        return Invalid("max_price", "is below the price of every type that would do")
    there = (gpu for gpu in stock.types if gpu.type in (wish.types or names))
    most = max((gpu.together or gpu.total for gpu in there), default=0)
    return Invalid("gpu_count", f"must be at most {most}: there are no more on this target")


def room(endpoint: Endpoint, copies: int, stock: Stock, field: str) -> Invalid | None:
    """Why there can never be so many copies of it on this target."""
    wish = endpoint.gpus
    if wish.count == 0 or copies <= (most := stock.room(wish)):
        return None
    return Invalid(field, f"must be at most {most}: this target has no GPUs for more")


def would_wait(endpoints: Sequence[Endpoint], stock: Stock) -> bool:
    """Whether any would queue if all were submitted now."""
    free = {gpu.type: gpu.free for gpu in stock.types}
    for endpoint in endpoints:
        wish = endpoint.gpus
        if wish.count == 0:
            continue
        open_to = [gpu.type for gpu in stock.fitting(wish) if not _ahead(gpu.type, stock)]
        taken = next((name for name in open_to if free[name] >= wish.count), None)
        if taken is None:
            return True
        free[taken] = max(0, free[taken] - wish.count * endpoint.copies)
    return False


def _ahead(name: str, stock: Stock) -> bool:
    return any(not types or name in types for types in stock.ahead)


def price(endpoint: Endpoint, stock: Stock) -> float:
    """Per hour, of the type that it would most likely get: a free one, else the preferred."""
    wish = endpoint.gpus
    if wish.count == 0:
        return 0.0
    fitting = stock.fitting(wish)
    likely = next((gpu for gpu in fitting if gpu.free >= wish.count), None)
    chosen = likely or (fitting[0] if fitting else None)
    return 0.0 if chosen is None else chosen.price_per_hour * wish.count * endpoint.copies


async def stock_of(database: Database | Connection, target: str) -> Stock:
    """What the target has, without a look at its queue."""
    types = await database.fetch(GPU_TYPES, target, False)
    return Stock(types=tuple(msgspec.convert([dict(row) for row in types], list[GpuType])))


async def late_stock_of(context: Context, target: str) -> Stock:
    """What the target had at most `LATE` seconds ago: for those who submit, as if they had come so
    much earlier. Whoever would be refused by it looks at what is there now."""
    until, stock = context.stocks.get(target, (0.0, None))
    now = time.monotonic()
    if stock is None or now >= until:
        stock = await stock_of(context.database, target)
        context.stocks[target] = (now + LATE, stock)
    return stock


async def with_queue(database: Database | Connection, target: str, stock: Stock) -> Stock:
    ahead = await database.fetch(QUEUE, target)
    return msgspec.structs.replace(stock, ahead=tuple(tuple(row["gpu_types"]) for row in ahead))


async def index(call: Call[NoQuery, None]) -> Answer:
    rows = await call.database.fetch(GPU_TYPES, None, False)
    return Answer(Page(items=msgspec.convert([dict(row) for row in rows], list[GpuType])))


async def targets(call: Call[NoQuery, None]) -> Answer:
    rows = await call.database.fetch(GPU_TYPES, None, True)
    there: dict[str, list[GpuType]] = {name: [] for name in call.context.targets}
    for row in rows:
        if row["target"] in there:
            there[row["target"]].append(msgspec.convert(dict(row), GpuType))
    items = [Target(name=name, kind=kind(name), gpus=gpus) for name, gpus in there.items()]
    return Answer(Page(items=items))
