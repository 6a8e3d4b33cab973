"""Who waits for GPUs, which there are, and which of them could ever do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from shared.ids import JobId


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A job that waits to start, or for more copies. A sequence of them is in order of arrival."""

    job: JobId
    attempt: int
    count: int = 0  # of GPUs for each copy
    types: tuple[str, ...] = ()  # in order of preference; empty: any
    max_price: float | None = None  # per GPU and hour
    copies: int = 1  # that it wants
    granted: int = 0  # of these, that it may run already; 0: it is in the queue
    held: int = 0  # copies whose GPUs it holds: more than may run, until those it gave up are gone
    reason: str = ""  # what is written down now
    age: float = 0.0  # seconds since it asked

    @property
    def missing(self) -> int:
        return self.copies - self.granted


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU that is present, and whether somebody holds it."""

    gpu: str
    type: str
    node: str = ""
    price: float = 0.0
    free: bool = True
    job: JobId | None = None  # who holds it


Shelf = Counter[tuple[str, float, str]]
"""How many GPUs there are of each type and price on each machine."""


def shelf_of(slots: Iterable[Slot]) -> Shelf:
    return Counter((slot.type, slot.price, slot.node) for slot in slots)


def fitting(job: Waiting, shelf: Shelf) -> tuple[str, ...]:
    """The types that could satisfy one more copy were all of `shelf` free, most preferred first."""
    if job.count == 0:
        return ()
    together: Counter[tuple[str, str]] = Counter()
    for (kind, price, node), number in shelf.items():
        if affordable(job, price):
            together[kind, node] += number
    enough = {kind for (kind, _), number in together.items() if number >= job.count}
    return tuple(dict.fromkeys(kind for kind in job.types or sorted(enough) if kind in enough))


def affordable(job: Waiting, price: float) -> bool:
    return job.max_price is None or price <= job.max_price
