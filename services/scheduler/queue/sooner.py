"""What would start a job now, had it been asked for otherwise. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from services.scheduler.queue.quota import Row
from services.scheduler.queue.rack import Rack
from services.scheduler.queue.turn import Stay
from services.scheduler.queue.wish import Wish


def sooner(stay: Stay, racks: Mapping[str, Rack]) -> tuple[str, ...]:
    """A line each. What is kept for those who come first starts nobody else."""
    if stay.job.granted or stay.cause == "budget":
        return ()
    if stay.cause == "quota":
        return _quota(stay.row, stay.wish) if stay.row is not None else ()
    return tuple(_lines(stay.wish, racks, first=stay.ahead == 0))


def _lines(wish: Wish, racks: Mapping[str, Rack], *, first: bool) -> Iterator[str]:
    for kind, rack in sorted(racks.items()):
        if wish.types and kind not in wish.types and _room(rack, wish, wish.count) >= wish.least:
            yield f"with {kind} as well it would start now"
    mine = [racks[kind] for kind in wish.fitting]
    if wish.price < inf:
        known = [rack for rack in racks.values() if not wish.types or rack.kind in wish.types]
        costs = {price for rack in known for price in rack.prices if price > wish.price}
        for price in sorted(costs):
            if any(_room(rack, wish, wish.count, price) >= wish.least for rack in known):
                yield f"at {price:g} an hour for a GPU it would start now"
                break
    if wish.least > 1:
        copies = max((_room(rack, wish, wish.count, first=first) for rack in mine), default=0)
        if copies:
            yield f"with {copies} of its {wish.least} copies it would start now"
        return
    for count in range(wish.count - 1, 0, -1):
        if any(_room(rack, wish, count, first=first) for rack in mine):
            yield f"with {count} GPU{'s' if count > 1 else ''} it would start now"
            return


def _room(
    rack: Rack, wish: Wish, count: int, price: float | None = None, *, first: bool = False
) -> int:
    """Copies of so many GPUs for which there is room now. What the `first` in line waits for is
    kept for nobody but itself."""
    price = wish.price if price is None else price
    if not first:
        return sum(copies for _, copies in rack.room(count, price, wish.lasts))
    return sum(
        sum(slot.price <= price for slot in machine.free) // count
        for machine in rack.machines.values()
    )


def _quota(row: Row, wish: Wish) -> tuple[str, ...]:
    needs = row.used + wish.count * wish.least
    return (f"with a quota of {needs} instead of {row.nominal} it would be within its own",)
