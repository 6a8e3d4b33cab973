"""What is said of a job that has its place: it starts, or runs. Pure."""

from __future__ import annotations

from services.api.explain.facts import Facts, Lines
from services.api.explain.words import first_line, several, span
from services.api.types_why import Cause, WhyAnswer

IMAGE = ("its image", "its container can't be made")
NO_ROOM = ("no place for it", "its machine", "found no", "was evicted")
"""How drivers begin what they say of a copy that has no machine, or lost it."""

ENDS = ("ended with exit code", "was ended by signal", "was killed", "ends again and again")


def starting(facts: Facts, lines: Lines) -> WhyAnswer:
    cause = _starting(facts, lines)
    return _answer(facts, cause, _words(facts, cause, lines), lines)


def _starting(facts: Facts, lines: Lines) -> Cause:
    """A server that has ended is told apart from one that has had no room to begin."""
    said = facts.reason.lower()
    if said.startswith(NO_ROOM):
        return "no_room"
    if said.startswith(IMAGE):
        return "image"
    if facts.restarts or any(word in said for word in ENDS):
        return "crash_loop"
    return "not_ready" if lines or said else "image"


def _words(facts: Facts, cause: Cause, lines: Lines) -> str:
    said = first_line(facts.reason)
    match cause:
        case "no_room":
            return f"It holds its place, but its cluster has no machine for it: {said}"
        case "image" if said:
            return f"It can't start: {said}"
        case "image":
            return "Its image is being fetched and unpacked; its server has not said anything yet."
        case "crash_loop":
            again = several(facts.restarts, "time")
            return f"Its server ends, and was started again {again}: {said or 'see its log'}"
        case _ if facts.kind == "batch":
            return "Its command begins."
        case _:
            return f"Its server runs, and is not ready yet: {said or 'it does not answer so far'}"


def running(facts: Facts, lines: Lines) -> WhyAnswer:
    """One that waits for more copies is told of in services/api/explain/growing.py."""
    if facts.gives_way_in is not None:
        left = span(max(0.0, facts.gives_way_in))
        words = f"It was told to give way to another, and has {left} left; then it queues again."
        return _answer(facts, "giving_way", words, ())
    said = first_line(facts.reason)
    if facts.kind == "batch":
        return _answer(facts, "well", "Its command runs.", ())
    if facts.running == 0:
        words = f"It runs, but no copy of it takes requests: {said or 'none is ready'}"
        return _answer(facts, "unwell", words, lines)
    if said:
        return _answer(facts, "unwell", f"It answers, but something is wrong: {said}", lines)
    if facts.running < facts.copies:
        words = f"{facts.running} of {facts.copies} copies take requests; the others are starting."
        return _answer(facts, "copies", words, ())
    return _answer(facts, "well", "It answers; nothing is wrong.", ())


def _answer(facts: Facts, cause: Cause, words: str, lines: Lines) -> WhyAnswer:
    details = []
    if facts.restarts and cause != "crash_loop":
        details.append(f"Its server was started again {several(facts.restarts, 'time')}.")
    if facts.run_at_most is not None and facts.placed is not None:
        left = span(max(0.0, facts.run_at_most - facts.placed))
        details.append(f"It may run for {span(facts.run_at_most)}; {left} of that are left.")
    return WhyAnswer(
        job=facts.job,
        name=facts.name,
        state=facts.state,
        since=facts.since,
        cause=cause,
        headline=words,
        details=tuple(details),
        reason=facts.reason,
        lines=lines,
    )
