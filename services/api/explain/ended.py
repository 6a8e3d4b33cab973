"""What is said of a job that ends, or is over. Pure."""

from __future__ import annotations

from services.api.explain.facts import Facts, Lines
from services.api.explain.words import first_line, span
from services.api.types_why import Cause, WhyAnswer
from shared.lifecycle import State

LATE = "it was not given a place"  # services/scheduler/due.py says so
LIMIT = "it may run for"
LOOP = "crash loop"
UNREADY = ("did not become ready", "ping timeout exceeded")
MEANING: dict[State, tuple[Cause, str]] = {
    State.STOPPING: ("stopping", "It finishes what it has in hand, and ends."),
    State.STOPPED: ("stopped", "Somebody stopped it; it can be started again from its image."),
    State.FINISHED: ("finished", "It has done its work."),
    State.TERMINATED: ("terminated", "Somebody removed it for good."),
    State.PURGED: ("purged", "It was removed, since nobody had used it for two weeks."),
}


def ended(facts: Facts, lines: Lines) -> WhyAnswer:
    cause, words = _failed(facts) if facts.state is State.FAILED else _over(facts)
    return WhyAnswer(
        job=facts.job,
        name=facts.name,
        state=facts.state,
        since=facts.since,
        cause=cause,
        headline=words,
        details=("A failed job can only be terminated.",) * (facts.state is State.FAILED),
        reason=facts.reason,
        lines=lines,
    )


def _over(facts: Facts) -> tuple[Cause, str]:
    cause, words = MEANING[facts.state]
    most, lived = facts.run_at_most, facts.lived
    if facts.state in (State.STOPPING, State.STOPPED) and most and lived and lived >= most:
        words = f"It ran for the {span(most)} that it may run, and was told to stop."
        return "run_limit", words
    return cause, words


def _failed(facts: Facts) -> tuple[Cause, str]:
    said, short = facts.reason.lower(), first_line(facts.reason)
    if facts.version_state == "failed":
        return "build_failed", f"Its image could not be built: {first_line(facts.version_reason)}"
    if said.startswith(LATE):
        return "too_late", "It had no place by the time by which it had to start."
    if said.startswith(LIMIT):
        return "run_limit", f"It ran for as long as it may: {short}"
    if said.startswith(LOOP):
        return "crash_loop", f"Its server ended again and again: {short}"
    if said.startswith(UNREADY):
        return "not_ready", f"It was given up: {short}"
    if said.startswith("its image"):
        return "image", f"It can't start: {short}"
    return "failed", f"It failed: {short or 'nobody said why'}"
