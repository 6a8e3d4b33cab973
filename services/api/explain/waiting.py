"""What is said of a job that waits in the queue. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from services.api.explain.estimate import estimate
from services.api.explain.facts import Facts, First, Holder, Queued
from services.api.explain.sooner import sooner
from services.api.explain.words import FAR, several, span, wish
from services.api.types_why import Cause, Other, Short, WhyAnswer
from shared.waits import Waits

Sees = Callable[[str], bool]
"""Whether whoever asks may see what an owner has."""

STRANGER = "a job of another owner"
SHOWN = 5  # jobs


def queued(facts: Facts, known: Queued, sees: Sees) -> WhyAnswer:
    """Of a job in the queue."""
    answer = parts(facts, known, sees)
    cause = _cause(facts, known)
    return msgspec.structs.replace(
        answer,
        cause=cause,
        headline=headline(facts, known, cause),
        details=(*_notes(facts), *answer.details),
    )


def parts(facts: Facts, known: Queued, sees: Sees) -> WhyAnswer:
    """All but the cause and the words: also of one that runs and waits for more copies."""
    waits, waiting = known.waits, facts.count > 0
    ahead = waits.ahead + (known.behind or 0)
    return WhyAnswer(
        job=facts.job,
        name=facts.name,
        state=facts.state,
        since=facts.since,
        cause="unseen",
        headline="",
        reason=facts.reason,
        ahead=ahead if waiting and (waits.cause or known.behind is not None) else None,
        ahead_at_least=waits.ahead > FAR or bool(known.behind),
        others=_others(facts, known, sees),
        short=_short(facts, waits) if waits.cause and waiting else None,
        estimate=estimate(facts, known) if waiting else None,
        sooner=sooner(facts, known),
    )


def _cause(facts: Facts, known: Queued) -> Cause:
    if not facts.scheduled:
        return "away"
    if known.behind:
        return "behind"
    if any(holder.yields for holder in known.holders):
        return "yielding"
    return known.waits.cause or "unseen"


def headline(facts: Facts, known: Queued, cause: Cause) -> str:
    waits = known.waits
    wants = wish(facts.count, facts.types)
    order = f"; {_ahead(waits.ahead)}" if waits.ahead else "; it is next in line"
    match cause:
        case "away":
            return f"No scheduler acts for its target {facts.target}: nothing starts there."
        case "behind":
            behind = several(known.behind or 0, "job")
            return f"It waits behind {behind} of the same owner's: those come first."
        case "unseen":
            return "It has just been queued: the scheduler has not looked at it yet."
        case "gpus":
            return f"It waits for {wants}: {_free(waits)}{order}."
        case "order":
            first = _ahead(waits.ahead)
            return f"It waits for {wants}: enough are free, but they are kept, for {first}."
        case "machine":
            return f"It waits for {wants} on one machine: enough are free, but not together{order}."
        case "quota":
            return f"Its owner {facts.owner} has {waits.held or 0} of at most {waits.quota} GPUs."
        case "price":
            return f"It waits for {wants}, and what would do costs more than {facts.max_price:g}."
        case "never":
            return f"It waits for {wants}, which its target {facts.target} does not have."
        case "yielding":
            return f"It waits for {wants}: {_yielding(len(_giving(known)))} to give way to it."
        case "budget":
            return f"The budget of its owner {facts.owner} is spent for this month."
        case _:
            return facts.reason


def _yielding(number: int) -> str:
    return "a job has been told" if number == 1 else f"{number} jobs have been told"


def _ahead(number: int) -> str:
    if number > FAR:
        return f"more than {FAR} jobs come first"
    return "1 job comes first" if number == 1 else f"{number} jobs come first"


def _free(waits: Waits) -> str:
    told = [f"{waits.free.get(kind, 0)} of {most} {kind}" for kind, most in waits.there.items()]
    one = len(told) == 1 and told[0].startswith("1 ")
    return f"{' and '.join(told) or 'none'} {'is' if one else 'are'} free"


def _notes(facts: Facts) -> list[str]:
    notes = []
    if facts.gave_way:
        notes.append("It ran, gave way to another, and keeps the place in the queue that it had.")
    if facts.start_in is not None:
        notes.append(f"It fails unless it has its place in {span(max(0.0, facts.start_in))}.")
    return notes


def _giving(known: Queued) -> Sequence[First | Holder]:
    """Who gives way to it: one that was warned a while ago is told of by what it holds alone."""
    told = [holder for holder in known.holders if holder.yields]
    return told or (known.first if known.waits.cause == "yielding" else ())


def _because(facts: Facts, other: First | Holder, *, gives: bool) -> str:
    """Why it comes first, or gives way, in the order of docs/scheduling.md."""
    if gives:
        lower = other.priority < facts.priority
        return "of a lower class" if lower else "its owner has more than its quota"
    if other.priority > facts.priority:
        return "of a higher class"
    if other.owner == facts.owner:
        return "asked before"
    return "its owner has a smaller share, or it is within its quota"


def _others(facts: Facts, known: Queued, sees: Sees) -> tuple[Other, ...]:
    giving = _giving(known)
    return tuple(
        Other(
            job=each.job if sees(each.owner) else None,
            name=each.name if sees(each.owner) else STRANGER,
            what="gives way" if giving else "ahead",
            why=_because(facts, each, gives=bool(giving)),
            gpus=each.count,
        )
        for each in (giving or known.first)[:SHOWN]
    )


def _short(facts: Facts, waits: Waits) -> Short:
    return Short(
        wants=waits.wants or facts.count,
        copies=waits.copies,
        types=list(waits.types or facts.types),
        free=waits.free,
        there=waits.there,
        quota=waits.quota,
        held=waits.held,
    )
