"""What is said of a job that waits, or of which something is wrong: one line for a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from services.scheduler.driver import Observed, Phase, Replica
from services.scheduler.reconcile import Work
from services.scheduler.shelf import Shelf, Waiting, fitting
from shared.ids import JobId
from shared.lifecycle import State

FAR: Final = 100
"""Beyond so many jobs ahead, the exact number is not told: it would be rewritten for nobody."""


class Whole(NamedTuple):
    """All GPUs of a target, held or not."""

    shelf: Shelf
    total: Counter[str]
    machines: int

    @classmethod
    def of(cls, shelf: Shelf) -> Whole:
        return cls(shelf, totals(shelf), len({node for _, _, node in shelf}))


def why(
    job: Waiting, whole: Whole, types: Sequence[str], free: Mapping[str, int], ahead: int
) -> str:
    """What it waits for, how much of that is free, and how many came before.

    `types` are those that could ever do.
    """
    wants = _wants(job, whole)
    if not types and job.granted:
        return f"runs {job.granted} of {job.copies} copies; this target has no room for more"
    if not types:
        return f"{wants}, which this target does not have{_missing(job, whole)}"
    numbers = [f"{free.get(t, 0)} of {whole.total[t]}" for t in types]
    if len(types) == 1:
        state = f"{numbers[0]} {'is' if numbers[0].startswith('1 ') else 'are'} free"
    else:
        named = [f"{number} {t}" for number, t in zip(numbers, types, strict=True)]
        state = f"{', '.join(named[:-1])} and {named[-1]} are free"
    return f"{wants}; {state}; {_queue(ahead)}"


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


def totals(shelf: Shelf) -> Counter[str]:
    total: Counter[str] = Counter()
    for (kind, _, _), number in shelf.items():
        total[kind] += number
    return total


def _wants(job: Waiting, whole: Whole) -> str:
    wants = f"waits for {job.count} {' or '.join(job.types) or _any(job.count)}"
    if job.count > 1 and whole.machines > 1:
        wants = f"{wants} on one machine"
    if job.granted:
        return f"runs {job.granted} of {job.copies} copies; the next {wants}"
    return wants


def _any(count: int) -> str:
    return "GPU of any type" if count == 1 else "GPUs of any one type"


def _queue(ahead: int) -> str:
    if ahead == 0:
        return "next in line"
    if ahead > FAR:
        return f"more than {FAR} jobs ahead"
    return f"{ahead} job{'s' if ahead > 1 else ''} ahead"


def _missing(job: Waiting, whole: Whole) -> str:
    """Why no type fits, to be added to that it does not; empty when there is nothing to add."""
    total = {t: n for t, n in whole.total.items() if not job.types or t in job.types}
    if not total:
        return ""
    if fitting(msgspec.structs.replace(job, max_price=None), whole.shelf):
        return f" at {job.max_price:g} an hour or less"
    return f" (it has {', '.join(f'{n} {t}' for t, n in sorted(total.items()))})"
