"""What is said of a job whose image is not there yet. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from services.api.explain.facts import Builds, Facts, Lines
from services.api.explain.words import several
from services.api.types_why import WhyAnswer


def building(facts: Facts, builds: Sequence[Builds], lines: Lines) -> WhyAnswer:
    ahead = None if facts.built else before(builds)
    steps = [line.text for line in lines if line.stream == "platform"]
    if facts.built:
        words = f"Its image is being built: {steps[-1] if steps else 'it has just begun'}"
    elif ahead:
        comes = "comes" if ahead == 1 else "come"
        words = f"It waits for a builder: {several(ahead, 'build')} {comes} first."
    else:
        words = "It waits for a builder: its build is the next."
    return WhyAnswer(
        job=facts.job,
        name=facts.name,
        state=facts.state,
        since=facts.since,
        cause="building" if facts.built else "builder",
        headline=words,
        reason=facts.reason,
        ahead=ahead,
        lines=lines,
    )


def before(builds: Sequence[Builds]) -> int:
    """How many come first when owners take turns: who has least being built, then whose turn was
    longest ago, and of one owner the oldest."""
    own = next((each for each in builds if each.own), None)
    if own is None:
        return 0
    rounds = own.building + own.before
    return own.before + sum(
        min(each.waiting, max(0, rounds - each.building + (each.turn < own.turn)))
        for each in builds
        if not each.own
    )
