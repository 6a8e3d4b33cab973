"""What is said of a job that has begun when something is wrong: one line for a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.scheduler.driver import Observed, Phase, Replica
from services.scheduler.reconcile import Work
from shared.ids import JobId
from shared.lifecycle import State


def told(
    works: Sequence[Work],
    observed: Mapping[Replica, Observed],
    waits: Mapping[JobId, str],
    unwell: Mapping[Replica, str] = {},
) -> dict[Replica, str]:
    """What is wrong with jobs that have begun, or why they wait for more copies (`waits`), where
    something else is written down. Nothing, once all is well. `unwell` is what models say of
    themselves."""
    found: dict[Replica, str] = {}
    for work in works:
        trouble = _trouble(observed.get(work.replica)) or unwell.get(work.replica, "")
        reason = "; ".join(filter(None, (trouble, waits.get(work.job, ""))))
        if work.state in (State.STARTING, State.RUNNING) and reason != work.reason:
            found[work.replica] = reason
    return found


def _trouble(seen: Observed | None) -> str:
    well = seen is None or (seen.phase is Phase.READY and len(seen.addresses) >= seen.copies)
    return "" if well or seen is None else seen.reason
