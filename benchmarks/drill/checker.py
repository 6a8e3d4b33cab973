"""What must be true when the dust has settled. A pure function over what was recorded, so that it
can be shown to catch each kind of loss (tests/benchmarks/test_checker.py)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise

import msgspec


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One interval in which an attempt held a GPU; `until` None: it still does."""

    gpu: str
    holder: str
    since: datetime
    until: datetime | None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    accepted: Mapping[str, str]  # job id, as answered to the client -> the state it has to end in
    ended: Mapping[str, tuple[str, ...]]  # job id -> its state, for every row there is
    reasons: Mapping[str, str] = {}  # job id -> why it failed, as the platform says
    announced: frozenset[str]  # ids of all events of the log
    received: frozenset[str]  # ids of all events that the subscriber got
    holds: tuple[Hold, ...]  # as the database has them
    collisions: tuple[str, ...]  # as the workloads themselves saw them, by a lock for each GPU
    leftovers: tuple[str, ...]  # processes of replicas that should be gone
    gpus: int
    free: int


def check(record: Record) -> list[str]:
    """Every broken promise, in words; empty when all were kept."""
    return [
        *(f"two replicas held one GPU: {line}" for line in record.collisions),
        *_lost_jobs(record),
        *_lost_events(record),
        *_overlaps(record),
        *(f"a process was left behind: {line}" for line in record.leftovers),
        *_leaks(record),
    ]


def _lost_jobs(record: Record) -> list[str]:
    wrong = []
    for job, state in record.accepted.items():
        match record.ended.get(job, ()):
            case ():
                wrong.append(f"job {job} was accepted and is not there")
            case (only,) if only != state:
                why = record.reasons.get(job, "")
                wrong.append(f"job {job} ended as {only}, not as {state} {why}".rstrip())
            case (_, _, *_):
                wrong.append(f"job {job} is there more than once")
    return wrong


def _lost_events(record: Record) -> list[str]:
    lost = sorted(record.announced - record.received)
    invented = sorted(record.received - record.announced)
    return [
        *(f"event {event} never reached the subscriber" for event in lost),
        *(f"event {event} reached the subscriber and is not in the log" for event in invented),
    ]


def _overlaps(record: Record) -> list[str]:
    wrong, by_gpu = [], defaultdict(list)
    for hold in record.holds:
        by_gpu[hold.gpu].append(hold)
    for gpu, holds in by_gpu.items():
        ordered = sorted(holds, key=lambda hold: hold.since)
        for before, after in pairwise(ordered):
            if before.until is None or after.since < before.until:
                wrong.append(f"{gpu} was held by {before.holder} and {after.holder} at once")
    return wrong


def _leaks(record: Record) -> list[str]:
    held = [f"{hold.gpu} is still held by {hold.holder}" for hold in record.holds if not hold.until]
    if not held and record.free != record.gpus:
        held.append(f"{record.free} of {record.gpus} GPUs are free, and nobody holds the others")
    return held
