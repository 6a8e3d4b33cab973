"""Which queued jobs may start now, on which GPUs, and what the others wait for. Pure.

First come, first served for each type of GPU: a job that waits keeps every type it would take from
all who came after it, so a big job is never overtaken by smaller ones. A job that needs no GPU
competes with nobody. A job that no present GPU could ever satisfy holds up nobody either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from shared.ids import JobId

FAR: Final = 100
"""Beyond so many jobs ahead, the exact number is not told: it would be rewritten for nobody."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A queued job. The order of a sequence of them is the order in which they came."""

    job: JobId
    attempt: int
    count: int = 0  # of GPUs
    types: tuple[str, ...] = ()  # in order of preference; empty: any
    max_price: float | None = None  # per GPU and hour
    reason: str = ""  # what is written down now
    age: float = 0.0  # seconds in the queue


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU that is present, and whether somebody holds it."""

    gpu: str
    type: str
    price: float = 0.0
    free: bool = True


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    job: JobId
    attempt: int
    gpus: tuple[str, ...] = ()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    placements: list[Placement]
    reasons: dict[JobId, str]  # of those that go on waiting: one line for a person


Shelf = Counter[tuple[str, float]]
"""How many GPUs there are of each type and price."""


def decide(waiting: Sequence[Waiting], slots: Sequence[Slot]) -> Decision:
    """Place what can start, and say of every other job what it waits for."""
    shelf: Shelf = Counter((slot.type, slot.price) for slot in slots)
    free: dict[str, list[Slot]] = {slot.type: [] for slot in slots}
    for slot in slots:
        if slot.free:
            free[slot.type].append(slot)
    ahead: Counter[frozenset[str]] = Counter()  # how many wait for which types, so far
    kept: set[str] = set()  # types that somebody earlier waits for
    decision = Decision(placements=[], reasons={})
    for job in waiting:
        types = fitting(job, shelf)
        gpus = _take(job, [t for t in types if t not in kept], free)
        if gpus is not None:
            decision.placements.append(Placement(job=job.job, attempt=job.attempt, gpus=gpus))
            continue
        before = sum(n for wanted, n in ahead.items() if not wanted.isdisjoint(types))
        left = {t: len(there) for t, there in free.items()}
        decision.reasons[job.job] = why(job, shelf, left, before)
        if types:
            kept.update(types)
            ahead[frozenset(types)] += 1
    return decision


def admit(waiting: Sequence[Waiting], slots: Sequence[Slot]) -> list[Placement]:
    """The jobs that may start now."""
    return decide(waiting, slots).placements


def fitting(job: Waiting, shelf: Shelf) -> tuple[str, ...]:
    """The types that could satisfy `job` were all of them free, most preferred first."""
    total: Counter[str] = Counter()
    for (kind, price), number in shelf.items():
        if _affordable(job, price):
            total[kind] += number
    wanted = job.types or tuple(sorted(total))
    return tuple(dict.fromkeys(t for t in wanted if job.count > 0 and total[t] >= job.count))


def why(job: Waiting, shelf: Shelf, free: Mapping[str, int], ahead: int) -> str:
    """One line: what it waits for, how much of that is free, and how many came before."""
    wants = f"waits for {job.count} {' or '.join(job.types) or _any(job.count)}"
    types = fitting(job, shelf)
    if not types:
        return f"{wants}, which this target does not have{_missing(job, shelf)}"
    total = _totals(shelf)
    numbers = [f"{free.get(t, 0)} of {total[t]}" for t in types]
    if len(types) == 1:
        state = f"{numbers[0]} {'is' if numbers[0].startswith('1 ') else 'are'} free"
    else:
        named = [f"{number} {t}" for number, t in zip(numbers, types, strict=True)]
        state = f"{', '.join(named[:-1])} and {named[-1]} are free"
    return f"{wants}; {state}; {_queue(ahead)}"


def _take(
    job: Waiting, types: Sequence[str], free: dict[str, list[Slot]]
) -> tuple[str, ...] | None:
    """Take its GPUs out of `free`; None when it must wait."""
    if job.count == 0:
        return ()
    for kind in types:
        chosen = [slot for slot in free[kind] if _affordable(job, slot.price)][: job.count]
        if len(chosen) == job.count:
            free[kind] = [slot for slot in free[kind] if slot not in chosen]
            return tuple(slot.gpu for slot in chosen)
    return None


def _any(count: int) -> str:
    return "GPU of any type" if count == 1 else "GPUs of any one type"


def _queue(ahead: int) -> str:
    if ahead == 0:
        return "next in line"
    if ahead > FAR:
        return f"more than {FAR} jobs ahead"
    return f"{ahead} job{'s' if ahead > 1 else ''} ahead"


def _missing(job: Waiting, shelf: Shelf) -> str:
    """Why no type fits, to be added to that it does not; empty when there is nothing to add."""
    total = {t: n for t, n in _totals(shelf).items() if not job.types or t in job.types}
    if not total:
        return ""
    if max(total.values()) >= job.count:
        return f" at {job.max_price:g} an hour or less"
    return f" (it has {', '.join(f'{n} {t}' for t, n in sorted(total.items()))})"


def _totals(shelf: Shelf) -> Counter[str]:
    total: Counter[str] = Counter()
    for (kind, _), number in shelf.items():
        total[kind] += number
    return total


def _affordable(job: Waiting, price: float) -> bool:
    return job.max_price is None or price <= job.max_price
