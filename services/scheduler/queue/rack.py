"""All machines with GPUs of one type, and who of those who wait keeps which of them. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import inf

from services.scheduler.queue.machine import Machine
from services.scheduler.queue.values import Holder, Slot
from shared.ids import JobId

Room = tuple[int, str]  # GPUs on a machine


class Rack:
    """One type's machines. `open` ones are those that nobody keeps for himself."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.machines: dict[str, Machine] = {}
        self.cheapest, self.dearest = inf, 0.0
        self._sizes: Counter[int] = Counter()  # machines by their number of GPUs
        self._of_size: dict[int, list[Machine]] = {}
        self._order: list[Room] = []  # free GPUs of open machines without promises
        self._promised: dict[str, Machine] = {}  # open machines with promises
        self._kept_from = inf  # machines with so many GPUs or more are kept
        self._kept: set[str] = set()  # ... and these
        self.promises = 0

    def add(self, slot: Slot, age: float, end: float) -> None:
        machine = self.machines.get(slot.node)
        if machine is None:
            machine = self.machines[slot.node] = Machine(slot.node)
        machine.add(slot, age, end)
        self.cheapest = min(self.cheapest, slot.price)
        self.dearest = max(self.dearest, slot.price)

    def settle(self) -> None:
        for machine in self.machines.values():
            machine.settle()
        self._sizes = Counter(machine.total for machine in self.machines.values())
        self._sort()

    @property
    def prices(self) -> set[float]:
        return {slot.price for machine in self.machines.values() for slot in machine.slots}

    def again(self) -> None:
        """Nothing is kept or promised any more."""
        for machine in self.machines.values():
            machine.release()
        self._promised.clear()
        self._kept_from = inf
        self._kept.clear()
        self.promises = 0
        self._sort()

    @property
    def total(self) -> int:
        return sum(machine.total for machine in self.machines.values())

    @property
    def most_free(self) -> int:
        """GPUs that are free on one machine, whoever keeps them."""
        return max(len(machine.free) for machine in self.machines.values())

    def capacity(self, count: int, price: float, without: Mapping[str, int] = {}) -> int:
        """Copies of so many GPUs that it could ever hold, were all free but those `without`."""
        if price < self.cheapest:
            return 0
        if price >= self.dearest and not without:
            return sum(size // count * number for size, number in self._sizes.items())
        return sum(
            (_within(machine.slots, price, self.dearest) - without.get(node, 0)) // count
            for node, machine in self.machines.items()
        )

    def of_size(self, count: int) -> list[Machine]:
        """Machines with so many GPUs or more, by name."""
        machines = self._of_size.get(count)
        if machines is None:
            machines = [m for _, m in sorted(self.machines.items()) if m.total >= count]
            self._of_size[count] = machines
        return machines

    def is_open(self, machine: Machine) -> bool:
        return machine.total < self._kept_from and machine.node not in self._kept

    def room(self, count: int, price: float, lasts: float) -> Iterator[tuple[Machine, int]]:
        """Machines that have room for copies now, the fullest first, and for how many copies."""
        if price < self.cheapest:
            return
        rooms: list[Room]
        if price < self.dearest:
            rooms = sorted(self._dear(price, lasts))
        elif self._promised:
            rooms = sorted(
                [*self._order, *((m.room(lasts), node) for node, m in self._promised.items())]
            )
        else:
            rooms = self._order
        for place in range(bisect_left(rooms, (count,)), len(rooms)):
            number, node = rooms[place]
            yield self.machines[node], number // count

    def take(self, machine: Machine, count: int, price: float, lasts: float) -> list[Slot]:
        before = (len(machine.free), machine.node)
        taken = machine.take(count, lasts, price)
        if machine.node not in self._promised:
            place = bisect_left(self._order, before)
            assert self._order[place] == before
            del self._order[place]
            if machine.free:
                insort(self._order, (len(machine.free), machine.node))
        return taken

    def promise(
        self, machine: Machine, count: int, start: float, lasts: float, until: float
    ) -> None:
        machine.promise(count, start, lasts, until)
        self.promises += 1
        if machine.node not in self._promised:
            self._promised[machine.node] = machine
            self._sort()

    def keep(self, count: int) -> None:
        """Nobody who comes after gets anything of machines that have so many."""
        if count < self._kept_from:
            self._kept_from = count
            self._sort()

    def keep_these(self, nodes: Iterable[str]) -> None:
        self._kept.update(nodes)
        self._sort()

    def keeps(self, count: int) -> bool:
        """Whether nobody who asks for so many can have anything more."""
        return self._kept_from <= count

    def _sort(self) -> None:
        self._promised = {n: m for n, m in self._promised.items() if self.is_open(m)}
        self._order = sorted(
            (len(machine.free), node)
            for node, machine in self.machines.items()
            if machine.free and not machine.promises and self.is_open(machine)
        )

    def _dear(self, price: float, lasts: float) -> Iterator[Room]:
        for node, machine in self.machines.items():
            if self.is_open(machine):
                yield min(machine.room(lasts), _within(machine.free, price, self.dearest)), node


def racks_of(slots: Iterable[Slot], holders: Mapping[JobId, Holder]) -> dict[str, Rack]:
    """By type."""
    held = {job: (holder.age, holder.back_in) for job, holder in holders.items()}
    unknown, soon = (inf, inf), (inf, 0.0)
    racks: dict[str, Rack] = {}
    for slot in slots:
        rack = racks.get(slot.type)
        if rack is None:
            rack = racks[slot.type] = Rack(slot.type)
        rack.add(slot, *(held.get(slot.job, unknown) if slot.job is not None else soon))
    for rack in racks.values():
        rack.settle()
    return racks


def _within(slots: list[Slot], price: float, dearest: float) -> int:
    if price >= dearest:
        return len(slots)
    return sum(slot.price <= price for slot in slots)
