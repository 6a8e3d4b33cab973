"""When a job that waits may start, and how sure that is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.api.explain.facts import Facts, Queued
from services.api.explain.words import span
from services.api.types_why import Estimate

FEW: Final = 5  # that waited before say nothing yet
NEVER: Final = ("price", "never", "budget")
"""Waiting ends only when somebody changes something."""


def estimate(facts: Facts, queued: Queued) -> Estimate:
    if queued.waits.cause in NEVER:
        return Estimate(kind="unknown", said="not before that changes")
    if queued.waits.starts_in is not None and not queued.behind:
        most = max(0.0, queued.waits.starts_in)
        return Estimate(kind="reserved", most=most, said=f"in {span(most)} at the latest")
    return _likely(facts.waited or 0.0, queued) or _unknown(queued)


def _likely(waited: float, queued: Queued) -> Estimate | None:
    """From those who waited at least as long as it has: what was left for them then."""
    left = sorted(each - waited for each in queued.waited if each >= waited)
    ahead = queued.waits.ahead + (queued.behind or 0)
    if len(left) < FEW or not queued.span:
        return None
    turn = ahead * queued.span / len(queued.waited)  # until those ahead are gone at that rate
    least, most = max(_part(left, 0.5), turn), max(_part(left, 0.9), turn)
    said = (
        f"likely in {span(least)} to {span(most)}: so it was for "
        f"{len(left)} that waited as long in the last day"
    )
    return Estimate(kind="likely", least=least, most=most, said=said)


def _part(values: Sequence[float], part: float) -> float:
    return values[min(len(values) - 1, int(part * len(values)))]


def _unknown(queued: Queued) -> Estimate:
    if queued.holders and not any(holder.ends for holder in queued.holders):
        said = "can't be known: nothing that holds these GPUs has to end"
    else:
        said = "can't be known: too few have waited for these GPUs of late"
    return Estimate(kind="unknown", said=said)
