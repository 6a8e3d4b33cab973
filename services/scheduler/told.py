"""What is written down of why jobs wait: only what says something new, and not too much at once.

In a deep queue every turn changes a word of what thousands wait for. Then some are told each
second, and each of them every few seconds; those first whose cause is another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf
from typing import Final

import msgspec

from services.scheduler.driver import Replica
from services.scheduler.queue.values import Decision, Waiting
from shared.ids import JobId
from shared.waits import Waits

AT_ONCE: Final = 200  # jobs that one turn writes of ...
PAUSE: Final = 1.0  # ... and seconds to the next that does, where more than those have changed
EVERY: Final = 5.0  # seconds between two lines of one job, then
NEAR: Final = 0.25  # of an estimate, by which another is no news ...
SOON: Final = 10.0  # ... or by so many seconds


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written down of one attempt."""

    replica: Replica
    reason: str
    waits: Waits = Waits()
    queued: bool = True


class Told:
    def __init__(self) -> None:
        self._at: dict[JobId, float] = {}  # when each was last told
        self._deep_at = -inf  # when some of many were

    def lines(self, waiting: Mapping[JobId, Waiting], decision: Decision) -> list[Line]:
        """What is to be written down now, of jobs in the queue."""
        now = asyncio.get_running_loop().time()
        self._at = {job: at for job, at in self._at.items() if now - at < EVERY}
        changed = [
            line
            for job, reason in decision.reasons.items()
            if (before := waiting[job]).granted == 0
            and (line := changes(before, reason, decision.waits.get(job, Waits())))
        ]
        if len(changed) > AT_ONCE:
            if now - self._deep_at < PAUSE:
                return []
            self._deep_at = now
            changed = [line for line in changed if _pressing(waiting, line, self._at, now)]
            changed.sort(key=lambda line: self._at.get(line.replica.job, -inf))
            changed = changed[:AT_ONCE]
        self._at.update((line.replica.job, now) for line in changed)
        return changed


def changes(before: Waiting, reason: str, waits: Waits) -> Line | None:
    """What is to be written down where `before` is; None when it says the same."""
    if before.reason == reason and same(before.waits, waits):
        return None
    return Line(replica=Replica(before.job, before.attempt), reason=reason, waits=waits)


def same(before: Waits, after: Waits) -> bool:
    """Whether they say the same. An estimate becomes smaller by itself as time goes by."""
    if msgspec.structs.replace(before, starts_in=after.starts_in) != after:
        return False
    if before.starts_in is None or after.starts_in is None:
        return before.starts_in == after.starts_in
    return abs(before.starts_in - after.starts_in) <= max(SOON, NEAR * before.starts_in)


def _pressing(
    waiting: Mapping[JobId, Waiting], line: Line, told: Mapping[JobId, float], now: float
) -> bool:
    job = line.replica.job
    return job not in told or waiting[job].waits.cause != line.waits.cause
