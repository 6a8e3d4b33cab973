"""What a person can change so that a job that waits starts sooner. Pure.

What would start it now is the scheduler's to say, who knows what is kept for whom; this is what
else can be done.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.api.explain.facts import Facts, Queued
from services.api.types import GpuType
from shared.endpoint import PRIORITIES

MOST = 3  # of one kind


def sooner(facts: Facts, queued: Queued) -> tuple[str, ...]:
    """A line each, what the scheduler says first."""
    return tuple(dict.fromkeys([*queued.waits.sooner, *_lines(facts, queued)]))


def _lines(facts: Facts, queued: Queued) -> Iterator[str]:
    match queued.waits.cause:
        case "price" | "never" if queued.waits.sooner:
            return
        case "price":
            yield from _dearer(facts, queued)
        case "never":
            yield from _able(facts, queued)
        case "budget":
            yield "have an operator raise its owner's budget, or wait for the next month"
        case "quota":
            yield from _own(facts, queued)
            yield "have an operator raise its owner's quota"
        case None if not queued.behind:
            return
        case _:
            yield from _own(facts, queued)
            yield from _higher(facts, queued)


def _dearer(facts: Facts, queued: Queued) -> Iterator[str]:
    would = [gpu.price_per_hour for gpu in queued.stock if _does(gpu, facts, any_type=False)]
    if would:
        yield f"allow {min(would):g} an hour for a GPU, or more"


def _able(facts: Facts, queued: Queued) -> Iterator[str]:
    others = [gpu.type for gpu in queued.stock if _does(gpu, facts, any_type=True)]
    if others and facts.types:
        yield f"take another type: there {'are' if len(others) > 1 else 'is'} {', '.join(others)}"
    most = max((gpu.together or gpu.total for gpu in queued.stock if _is(gpu, facts)), default=0)
    if 0 < most < facts.count:
        yield f"ask for {most} GPU{'s' if most > 1 else ''} at most: no machine has more"


def _own(facts: Facts, queued: Queued) -> Iterator[str]:
    own = [each for each in queued.holders if each.owner == facts.owner and each.job != facts.job]
    for each in own[:MOST]:
        yield f"stop {each.name} of the same owner's, which holds {each.count} {each.type}"


def _higher(facts: Facts, queued: Queued) -> Iterator[str]:
    if queued.waits.ahead or queued.behind:
        for name in ("normal", "high"):
            if facts.priority < PRIORITIES[name] <= queued.highest:
                yield f"submit it with the priority {name}"


def _is(gpu: GpuType, facts: Facts) -> bool:
    return not facts.types or gpu.type in facts.types


def _does(gpu: GpuType, facts: Facts, *, any_type: bool) -> bool:
    enough = (gpu.together or gpu.total) >= facts.count
    return enough and (any_type or _is(gpu, facts))
