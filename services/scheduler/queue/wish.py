"""What jobs ask for, and what became of that so far: most jobs ask for what others ask for, too.

A wish lives for one look at the queue, in which GPUs are only taken and kept: what could not be had
once can't be had later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Final

from services.scheduler.queue.rack import Rack
from services.scheduler.queue.values import Waiting
from shared.ids import JobId

FAR: Final = 100
"""Beyond so many jobs ahead, the exact number is not told: it would be rewritten for nobody."""
NAMED: Final = 3  # of those ahead


class Group:
    """Who waits for some of the same types."""

    __slots__ = ("ahead", "first", "overlapping")

    def __init__(self) -> None:
        self.ahead = 0
        self.first: list[JobId] = []
        self.overlapping: list[Group] = []

    def join(self, job: JobId) -> None:
        """It comes before all who have not been looked at."""
        for group in self.overlapping:
            group.ahead += 1
            if len(group.first) < NAMED:
                group.first.append(job)


class Wish:
    __slots__ = (
        "count",
        "fitting",
        "group",
        "lasts",
        "least",
        "over",
        "own",
        "own_ends",
        "price",
        "stuck",
        "types",
    )

    def __init__(self, job: Waiting, own: Mapping[str, int]) -> None:
        self.count = job.count
        self.types = job.types
        self.price = inf if job.max_price is None else job.max_price
        self.lasts = inf if job.run_at_most is None else job.run_at_most
        self.least = job.missing if job.gang else 1  # copies that start at once
        self.own_ends = False  # it has to end itself: who knows what comes first
        self.own = own  # by machine, what it has that its other copies can never have
        self.fitting: tuple[str, ...] = ()  # types that could do were all free, preferred first
        self.over = False  # all of these are kept by others
        self.stuck: set[str] = set()  # of which it can't have any now
        self.group = Group()

    def fit(self, racks: Mapping[str, Rack]) -> None:
        kinds = dict.fromkeys(self.types or sorted(racks)) if self.count else ()
        self.fitting = tuple(kind for kind in kinds if self.could(racks, kind))

    def could(self, racks: Mapping[str, Rack], kind: str) -> bool:
        rack = racks.get(kind)
        return rack is not None and rack.capacity(self.count, self.price, self.own) >= self.least


class Wishes:
    """Each once. Who has copies already has a wish of his own."""

    def __init__(self, racks: Mapping[str, Rack], own: Mapping[JobId, Mapping[str, int]]) -> None:
        self._racks = racks
        self._own = own
        self._known: dict[object, Wish] = {}
        self._groups: dict[frozenset[str], Group] = {}

    def of(self, job: Waiting) -> Wish:
        own = self._own.get(job.job, {}) if job.granted else {}
        key = (
            job.count,
            job.types,
            job.max_price,
            job.run_at_most,
            job.missing if job.gang else 1,
            job.job if own else None,
        )
        wish = self._known.get(key)
        if wish is None:
            wish = self._known[key] = Wish(job, own)
            wish.fit(self._racks)
            wish.group = self.group(wish.fitting)
        return wish

    def all(self) -> Iterable[Wish]:
        return self._known.values()

    def again(self) -> None:
        """GPUs that were kept are not any more."""
        for wish in self._known.values():
            wish.stuck.clear()
            wish.over = False
        for group in self._groups.values():
            group.ahead = 0
            group.first.clear()

    def more(self, job: Waiting, kind: str, own: Mapping[str, int]) -> Wish:
        """What one wants that was given some copies, of this type, on machines by `own`."""
        wish = Wish(job, own)
        wish.types, wish.least, wish.own_ends = (kind,), 1, wish.lasts < inf
        wish.fit(self._racks)
        wish.group = self.group((kind,))
        self._known[wish] = wish
        return wish

    def group(self, kinds: Iterable[str]) -> Group:
        wanted = frozenset(kinds)
        group = self._groups.get(wanted)
        if group is None:
            group = Group()
            for others, other in self._groups.items():
                if not wanted.isdisjoint(others):
                    other.overlapping.append(group)
                    group.overlapping.append(other)
            group.overlapping.append(group)
            self._groups[wanted] = group
        return group
