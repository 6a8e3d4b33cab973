"""When one who waits can start at the latest, and where, as far as others' ends are known. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final, NamedTuple

from services.scheduler.queue.machine import Machine
from services.scheduler.queue.rack import Rack
from services.scheduler.queue.wish import Wish

DEEP: Final = 32
"""So many of a type have a reserved start. Those after them keep the type from all behind them."""


class Start(NamedTuple):
    time: float
    rack: Rack
    where: tuple[tuple[Machine, int], ...]  # and for how many copies


def can_promise(rack: Rack, wish: Wish) -> bool:
    """Whether a start can be reserved: not where some GPUs are beyond its price, nor for more
    copies of one that ends itself."""
    return rack.promises < DEEP and wish.price >= rack.dearest and not wish.own_ends


def earliest(racks: Mapping[str, Rack], kinds: Iterable[str], wish: Wish) -> Start | None:
    """None where it is not known, or where nothing can be promised."""
    best: Start | None = None
    for kind in kinds:
        rack = racks[kind]
        if not can_promise(rack, wish):
            return None
        start = _together(rack, wish) if wish.least > 1 else _alone(rack, wish)
        if start is not None and (best is None or start.time < best.time):
            best = start
    return best


def reserve(start: Start, wish: Wish, until: float) -> None:
    """Nobody takes it who is not gone by then."""
    for machine, copies in start.where:
        start.rack.promise(machine, copies * wish.count, start.time, wish.lasts, until)


def undisturbed(racks: Mapping[str, Rack], wish: Wish, age: float) -> float:
    """When one who has waited for so long could have started, had nobody been placed since: no
    later than it could when it came."""
    machines = (machine for kind in wish.fitting for machine in racks[kind].of_size(wish.count))
    return min((machine.before(wish.count, age) for machine in machines), default=0.0)


def _alone(rack: Rack, wish: Wish) -> Start | None:
    found, where = inf, None
    for machine in _useful(rack, wish):
        time = machine.earliest(wish.count, wish.lasts)
        if time < found:
            found, where = time, machine
    return Start(found, rack, ((where, 1),)) if where is not None else None


def _together(rack: Rack, wish: Wish) -> Start | None:
    """All copies at once: the first time at which all machines together have room for them."""
    machines = [*_useful(rack, wish)]
    times = sorted({time for machine in machines for time in machine.changes()})
    low, high = 0, len(times)
    while (
        low < high
    ):  # with more promised meanwhile it may miss an earlier time, never find a wrong one
        middle = (low + high) // 2
        if sum(copies for _, copies in _then(machines, times[middle], wish)) >= wish.least:
            high = middle
        else:
            low = middle + 1
    if low == len(times):
        return None
    where, missing = [], wish.least
    for machine, copies in _then(machines, times[low], wish):
        where.append((machine, min(copies, missing)))
        missing -= copies
        if missing <= 0:
            break
    return Start(times[low], rack, tuple(where))


def _then(machines: Sequence[Machine], time: float, wish: Wish) -> list[tuple[Machine, int]]:
    rooms = ((machine, machine.later(time, wish.lasts) // wish.count) for machine in machines)
    return [(machine, copies) for machine, copies in rooms if copies]


def _useful(rack: Rack, wish: Wish) -> Iterable[Machine]:
    return (
        machine
        for machine in rack.of_size(wish.count)
        if len(machine.free) + len(machine.ends) >= wish.count
        and rack.is_open(machine)
        and (not wish.own or machine.total - wish.own.get(machine.node, 0) >= wish.count)
    )
