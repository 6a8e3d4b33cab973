"""Which jobs may start or grow now, on which GPUs, and what the others wait for. Pure.

First come, first served for each type of GPU: a job that waits keeps every type it would take from
all who came after it, so a big job is never overtaken by smaller ones. A job that needs no GPU
competes with nobody. A job that no present GPU could ever satisfy holds up nobody either.

A job may want several copies. Each has all its GPUs on one machine, and all are of one type. It
starts with as many copies as there is room for, and at least one; for the others it waits on, in
its place in the queue, as one does who runs and is asked for more copies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from services.scheduler.shelf import Shelf, Slot, Waiting, affordable, fitting, shelf_of
from services.scheduler.why import Whole, totals, why
from shared.ids import JobId


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    job: JobId
    attempt: int
    gpus: tuple[str, ...] = ()  # copy by copy
    granted: int = 0  # copies that it might run before
    copies: int = 1  # that it may run now


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    placements: list[Placement]
    reasons: dict[JobId, str]  # of those that go on waiting: one line for a person


Free = dict[str, dict[str, list[Slot]]]
"""What nobody holds, by type and machine."""


def decide(waiting: Sequence[Waiting], slots: Sequence[Slot]) -> Decision:
    """Place what can start or grow, and say of every other job what it waits for."""
    shelf, free, own = shelf_of(slots), _free(slots), _own(waiting, slots)
    whole = Whole.of(shelf)
    named = {slot.gpu: slot for slot in slots}
    left = totals(shelf_of(slot for slot in slots if slot.free))
    ahead: Counter[frozenset[str]] = Counter()  # how many wait for which types, so far
    kept: set[str] = set()  # types that somebody earlier waits for
    known: dict[tuple[object, ...], tuple[str, ...]] = {}  # most wishes are alike
    decision = Decision(placements=[], reasons={})
    for job in waiting:
        reach = shelf - own[job.job] if job.job in own else shelf
        wish = (job.count, job.types, job.max_price, job.job if job.job in own else None)
        if wish not in known:
            known[wish] = fitting(job, reach)
        types = known[wish]
        placement = _place(job, [t for t in types if t not in kept], free)
        if placement is not None:
            decision.placements.append(placement)
            mine = [named[gpu] for gpu in placement.gpus]
            left.subtract(slot.type for slot in mine)
            if placement.copies == job.copies:
                continue
            types = fitting(job, _of_type(reach, mine) - shelf_of(mine))
        else:
            before = sum(n for wanted, n in ahead.items() if not wanted.isdisjoint(types))
            decision.reasons[job.job] = why(job, whole, types, left, before)
        if types:
            kept.update(types)
            ahead[frozenset(types)] += 1
    return decision


def admit(waiting: Sequence[Waiting], slots: Sequence[Slot]) -> list[Placement]:
    """The jobs that may start or grow now."""
    return decide(waiting, slots).placements


def _place(job: Waiting, types: Sequence[str], free: Free) -> Placement | None:
    """Take its GPUs out of `free`; None when it must wait."""
    if job.count == 0:
        return _placement(job, job.missing)
    if job.held > job.granted > 0:  # it still holds what it gave up a moment ago
        return _placement(job, min(job.missing, job.held - job.granted))
    for least in dict.fromkeys((job.missing, 1)):
        for kind in types:
            nodes = _nodes(job, free[kind])
            if len(nodes) >= least:
                return _placement(job, len(nodes), _take(job, free[kind], nodes))
    return None


def _placement(job: Waiting, more: int, gpus: tuple[str, ...] = ()) -> Placement:
    return Placement(
        job=job.job,
        attempt=job.attempt,
        gpus=gpus,
        granted=job.granted,
        copies=job.granted + more,
    )


def _nodes(job: Waiting, there: Mapping[str, list[Slot]]) -> list[str]:
    """Where its copies can go, one entry for each. The fullest machine that has room comes first,
    so that empty ones stay for those who need many GPUs."""
    room = {
        node: sum(affordable(job, slot.price) for slot in slots) for node, slots in there.items()
    }
    chosen: list[str] = []
    for node in sorted(room, key=lambda node: (room[node], node)):
        chosen += [node] * min(room[node] // job.count, job.missing - len(chosen))
    return chosen


def _take(job: Waiting, there: dict[str, list[Slot]], nodes: Sequence[str]) -> tuple[str, ...]:
    gpus: list[str] = []
    for node in nodes:
        fit = [slot.gpu for slot in there[node] if affordable(job, slot.price)][: job.count]
        there[node] = [slot for slot in there[node] if slot.gpu not in fit]
        gpus += fit
    return tuple(gpus)


def _free(slots: Sequence[Slot]) -> Free:
    free: Free = {slot.type: {} for slot in slots}
    for slot in slots:
        if slot.free:
            free[slot.type].setdefault(slot.node, []).append(slot)
    return free


def _own(waiting: Sequence[Waiting], slots: Sequence[Slot]) -> dict[JobId, Shelf]:
    """What those who would grow hold already: more copies of them can never have that."""
    growing = {job.job for job in waiting if job.granted}
    own: dict[JobId, list[Slot]] = {}
    for slot in slots:
        if slot.job in growing:
            assert slot.job is not None
            own.setdefault(slot.job, []).append(slot)
    return {job: shelf_of(held) for job, held in own.items()}


def _of_type(shelf: Shelf, mine: Sequence[Slot]) -> Shelf:
    """That part of it which more copies of one who has `mine` can have."""
    kinds = {slot.type for slot in mine}
    return Counter({key: number for key, number in shelf.items() if key[0] in kinds})
