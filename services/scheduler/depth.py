"""How deep the queue is read: the first jobs of each owner, class and wish. Pure.

Who waits behind these can't start before them, so need not be looked at. Only jobs that can never
start hold up nobody: where all that was read of a wish are such, the next look reads deeper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from services.scheduler.queue.values import Decision, Placement, Waiting
from shared.ids import JobId

GPUS: Final = 4_000  # jobs that want GPUs which one look reads, shared by their heads
NO_GPUS: Final = 500  # jobs that need none
DEEPEST: Final = 64  # times its share that an owner's class is read
MOST: Final = 16_000  # jobs in all, after which nobody's is read any deeper: a look is to be short

PASSED: Final = ("never", "price")
"""Causes for which a job holds up nobody, not even its owner's next."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of one wish of an owner's class."""

    owner: str
    priority: int
    jobs: Sequence[JobId]
    share: int  # jobs that every one is read of at least
    cut: bool  # whether there may be more


def deeper(
    times: Mapping[tuple[str, int], int], heads: Sequence[Head], decision: Decision
) -> dict[tuple[str, int], int]:
    """How many times its share each owner's class is to be read at the next look, where it is more
    than once. `times` is how it was read at this one."""
    found: dict[tuple[str, int], int] = {}
    more = 2 if sum(len(head.jobs) for head in heads) < MOST else 1
    for head in heads:
        key = head.owner, head.priority
        before = times.get(key, 1)
        if head.cut and all(_passed(decision, job) for job in head.jobs):
            found[key] = min(DEEPEST, more * before)
        elif len(head.jobs) > head.share:
            found.setdefault(key, before)
    return found


def in_turn(
    placements: Sequence[Placement], waiting: Mapping[JobId, Waiting], heads: Sequence[Head]
) -> list[Placement]:
    """Those of `placements` before which nobody comes who was not read.

    Where all that was read of a wish has its place now, more of its owner's class may follow. Lower
    classes leave them what there is until the next look, which follows at once.
    """
    placed = {each.job for each in placements}
    classes = [head.priority for head in heads if head.cut and placed.issuperset(head.jobs)]
    if not classes:
        return list(placements)
    highest = max(classes)
    return [
        each
        for each in placements
        if (job := waiting[each.job]).count == 0 or job.priority >= highest
    ]


def _passed(decision: Decision, job: JobId) -> bool:
    waits = decision.waits.get(job)
    return waits is not None and waits.cause in PASSED
