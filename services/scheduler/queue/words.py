"""What a job waits for, as one line for a person and in parts for programs. Pure.

The first words are those that people know: what it wants, what of that is free, who comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from math import ceil, inf

from services.scheduler.queue.look import Look
from services.scheduler.queue.quota import ALL_TYPES, Row
from services.scheduler.queue.rack import Rack
from services.scheduler.queue.sooner import sooner
from services.scheduler.queue.turn import Stay
from services.scheduler.queue.values import Waiting
from services.scheduler.queue.wish import FAR, Wish
from shared.ids import JobId
from shared.waits import Cause, Waits


class Words:
    """Of one look, when all have had their turns."""

    def __init__(self, racks: Mapping[str, Rack]) -> None:
        self._racks = racks
        self._there = {kind: rack.total for kind, rack in racks.items()}
        self._free = {
            kind: sum(len(machine.free) for machine in rack.machines.values())
            for kind, rack in racks.items()
        }
        self._known: dict[tuple[Wish, bool, Row | None], tuple[str, ...]] = {}
        self._short: dict[Wish, Cause] = {}
        self._states: dict[Wish, str] = {}
        self._machines = len({node for rack in racks.values() for node in rack.machines})

    def of(self, stay: Stay) -> tuple[str, Waits]:
        return self._said(stay), self._parts(stay)

    def _said(self, stay: Stay) -> str:
        wants = self._wants(stay.job, stay.wish)
        match stay.cause:
            case "budget":
                return f"{wants}; its owner's budget is spent"
            case "quota":
                assert stay.row is not None
                return f"{wants}; {_quota(stay.row)}"
            case "never" if stay.job.granted:
                job = stay.job
                return (
                    f"runs {job.granted} of {job.copies} copies; this target has no room for more"
                )
            case "never":
                return f"{wants}, which this target does not have{self._lacks(stay.job, stay.wish)}"
        parts = [wants, self._state(stay.wish), _queue(stay.ahead)]
        if stay.yielding:
            number = len(stay.yielding)
            parts.append(f"{number} job{'s give' if number > 1 else ' gives'} way to it")
        if stay.starts_in < inf:
            parts.append(f"starts {_within(stay.starts_in)}")
        return "; ".join(parts)

    def _parts(self, stay: Stay) -> Waits:
        job, wish, row = stay.job, stay.wish, stay.row
        kinds = wish.fitting or tuple(kind for kind in job.types if kind in self._there)
        most = row.most if row is not None else inf
        return Waits(
            cause=self.cause(stay),
            wants=job.count,
            copies=job.copies,
            types=job.types,
            free={kind: self._free[kind] for kind in kinds},
            there={kind: self._there[kind] for kind in kinds},
            ahead=stay.ahead,
            first=stay.yielding or stay.first,
            quota=int(most) if most < inf else None,
            held=row.held if row is not None else None,
            starts_in=stay.starts_in if stay.starts_in < inf else None,
            sooner=self._sooner(stay),
        )

    def _sooner(self, stay: Stay) -> tuple[str, ...]:
        alike = stay.wish, stay.ahead == 0, stay.row
        if alike not in self._known:
            self._known[alike] = sooner(stay, self._racks)
        return self._known[alike]

    def cause(self, stay: Stay) -> Cause:
        wish = stay.wish
        if stay.cause == "never" and self._is_dear(wish):
            return "price"
        if stay.cause is not None:
            return stay.cause
        if stay.yielding:
            return "yielding"
        if stay.job.granted:
            return "copies"
        if wish not in self._short:
            self._short[wish] = self._short_of(wish)
        return self._short[wish]

    def _short_of(self, wish: Wish) -> Cause:
        enough = [kind for kind in wish.fitting if self._free[kind] >= wish.count * wish.least]
        if not enough:
            return "gpus"
        return "order" if any(self._has_room(self._racks[k], wish) for k in enough) else "machine"

    def _has_room(self, rack: Rack, wish: Wish) -> bool:
        rooms = (len(machine.free) // wish.count for machine in rack.machines.values())
        return sum(rooms) >= wish.least

    def _is_dear(self, wish: Wish) -> bool:
        racks = (self._racks.get(kind) for kind in wish.types or self._racks)
        return wish.price < inf and any(
            rack.capacity(wish.count, inf, wish.own) >= wish.least for rack in racks if rack
        )

    def _wants(self, job: Waiting, wish: Wish) -> str:
        if not job.count:
            return "waits to start"
        wants = f"waits for {job.count} {' or '.join(job.types) or _any(job.count)}"
        if job.count > 1 and self._machines > 1:
            wants = f"{wants} on one machine"
        if wish.least > 1:
            wants = f"{wants} for each of {wish.least} copies at once"
        if job.granted:
            return f"runs {job.granted} of {job.copies} copies; the next {wants}"
        return wants

    def _state(self, wish: Wish) -> str:
        if wish not in self._states:
            self._states[wish] = self._stated(wish)
        return self._states[wish]

    def _stated(self, wish: Wish) -> str:
        numbers = [f"{self._free[kind]} of {self._there[kind]}" for kind in wish.fitting]
        if len(numbers) == 1:
            return f"{numbers[0]} {'is' if numbers[0].startswith('1 ') else 'are'} free"
        named = [f"{n} {kind}" for n, kind in zip(numbers, wish.fitting, strict=True)]
        return f"{', '.join(named[:-1])} and {named[-1]} are free"

    def _lacks(self, job: Waiting, wish: Wish) -> str:
        """Why no type fits, to be added to that it does not; empty when there is nothing to add."""
        there = {kind: n for kind, n in self._there.items() if not job.types or kind in job.types}
        if not there:
            return ""
        if self._is_dear(wish):
            return f" at {wish.price:g} an hour or less"
        return f" (it has {', '.join(f'{n} {kind}' for kind, n in sorted(there.items()))})"


def told(look: Look) -> tuple[dict[JobId, str], dict[JobId, Waits]]:
    """Of all that go on waiting."""
    words = Words(look.racks)
    reasons: dict[JobId, str] = {}
    waits: dict[JobId, Waits] = {}
    for stay in chain(look.settled, look.last.stays.values()):
        reasons[stay.job.job], waits[stay.job.job] = words.of(stay)
    known: dict[tuple[Wish, int, int], tuple[str, Waits]] = {}
    for job, wish in look.last.rest:  # most wait for what others wait for
        alike = wish, job.copies, job.granted
        said = known.get(alike)
        if said is None:
            stay = Stay(job, wish, ahead=FAR + 1, first=wish.group.first)
            said = known[alike] = words.of(stay)
        reasons[job.job], waits[job.job] = said
    return reasons, waits


def _any(count: int) -> str:
    return "GPU of any type" if count == 1 else "GPUs of any one type"


def _queue(ahead: int) -> str:
    if ahead == 0:
        return "next in line"
    if ahead > FAR:
        return f"more than {FAR} jobs ahead"
    return f"{ahead} job{'s' if ahead > 1 else ''} ahead"


def _quota(row: Row) -> str:
    what = "GPUs" if row.kind == ALL_TYPES else row.kind
    said = f"its owner may have {row.most:g} {what} and has {row.held}"
    if row.used > row.held:
        said += f", and waits for {row.used - row.held} more"
    if row.used < row.most:
        said += "; the rest is not left over by others of its cohort"
    return said


def _within(seconds: float) -> str:
    """Rounded up, and the less exact the longer it is: it is not to be written all the time."""
    if seconds <= 0:
        return "as soon as what ends there is gone"
    for unit, name, step, most in (
        (1, "s", 10, 120),
        (60, "min", 1, 10),
        (60, "min", 10, 120),
        (3600, "h", 1, inf),
    ):
        number = ceil(seconds / unit / step) * step
        if number <= most:
            return f"in about {number} {name} at the latest"
    raise AssertionError(seconds)
