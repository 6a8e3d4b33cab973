"""The GPUs of one type on one machine, now and later: what is free, what comes back and when, and
what is promised to those who wait. Times are seconds from now. Pure.

A promise holds from its start to its end and is kept by counting: whoever would take GPUs here has
to leave enough of them at every moment at which a promise begins while it has them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from services.scheduler.queue.values import Slot


class Promise(NamedTuple):
    start: float
    end: float
    gpus: int
    until: float  # it may be put off so long by those who are gone by then


class Machine:
    __slots__ = ("_known", "ends", "free", "held", "node", "promises", "slots", "total")

    def __init__(self, node: str) -> None:
        self.node = node
        self.slots: list[Slot] = []
        self.total = 0
        self.free: list[Slot] = []
        self.ends: list[float] = []  # when GPUs that are held come back, as far as is known
        self.held: list[tuple[float, float]] = []  # of each that is held: for how long, until when
        self.promises: list[Promise] = []
        self._known: dict[tuple[int, float], float] = {}  # what was asked before

    def add(self, slot: Slot, age: float = inf, end: float = inf) -> None:
        """`age` is how long its holder has had it, and `end` when he gives it back."""
        self.slots.append(slot)
        self.total += 1
        if slot.free:
            self.free.append(slot)
            return
        self.held.append((age, end))
        if end < inf:
            self.ends.append(end)

    def settle(self) -> None:
        """All are there: bring them in order."""
        self.free.sort(key=lambda slot: (len(slot.gpu), slot.gpu))
        self.ends.sort()

    def at(self, time: float) -> int:
        """GPUs that are neither held nor promised then."""
        room = len(self.free) + bisect_right(self.ends, time)
        for start, end, gpus, _ in self.promises:
            if start <= time < end:
                room -= gpus
        return room

    def room(self, lasts: float) -> int:
        """GPUs that can be had now, by one who gives them back after so long."""
        room = len(self.free)
        for promise in self.promises:
            if promise.until < lasts:
                room = min(room, self.at(promise.start))
        return max(0, room)

    def later(self, time: float, lasts: float) -> int:
        """GPUs that can be had at that time, as far as is known now, for so long."""
        room = self.at(time)
        for promise in self.promises:
            if time < promise.start < time + lasts:
                room = min(room, self.at(promise.start))
        return max(0, room)

    def changes(self) -> Iterator[float]:
        """The times at which there may be more room than before."""
        yield 0.0
        yield from self.ends
        yield from (p.end for p in self.promises if p.end < inf)

    def earliest(self, count: int, lasts: float) -> float:
        """When so many can be had for so long, at the latest; `inf` where nobody knows."""
        asked = count, lasts if self.promises else inf
        found = self._known.get(asked)
        if found is None:
            found = self._known[asked] = self._earliest(count, lasts)
        return found

    def _earliest(self, count: int, lasts: float) -> float:
        if not self.promises:
            missing = count - len(self.free)
            if missing > len(self.ends):
                return inf
            return max(0.0, self.ends[missing - 1]) if missing > 0 else 0.0
        fits = (t for t in sorted(set(self.changes())) if self.later(t, lasts) >= count)
        return next(fits, inf)

    def before(self, count: int, age: float) -> float:
        """When one who has waited for so long could have so many, had nobody been placed since."""
        ends = sorted(end for held, end in self.held if held > age)
        missing = count - (self.total - len(ends))
        return max(0.0, ends[missing - 1]) if 0 < missing <= len(ends) else 0.0

    def promise(self, count: int, start: float, lasts: float, until: float) -> None:
        self.promises.append(Promise(start, start + lasts, count, until))
        self._known.clear()

    def release(self) -> None:
        """Nothing is promised any more."""
        self.promises.clear()
        self._known.clear()

    def expect(self, count: int, end: float, before: float) -> None:
        """So many come back then, and not when it was thought before."""
        if before < inf:
            place = bisect_left(self.ends, before)
            del self.ends[place : place + count]
        if end < inf:
            self.ends += [end] * count
            self.ends.sort()
        self._known.clear()

    def take(self, count: int, lasts: float, price: float = inf) -> list[Slot]:
        """So many of those that are free and cost no more."""
        taken = [slot for slot in self.free if slot.price <= price][:count]
        if len(taken) == len(self.free):
            self.free = []
        else:
            gone = {slot.gpu for slot in taken}
            self.free = [slot for slot in self.free if slot.gpu not in gone]
        self.expect(len(taken), lasts, inf)
        return taken
