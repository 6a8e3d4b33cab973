"""What is said of a job that runs and waits for room for more copies. Pure."""

from __future__ import annotations

import msgspec

from services.api.explain.facts import Facts, Queued
from services.api.explain.waiting import Sees, headline, parts
from services.api.explain.words import wish
from services.api.types_why import WhyAnswer


def growing(facts: Facts, known: Queued, sees: Sees) -> WhyAnswer:
    waits = known.waits
    some = f"It runs {facts.granted} of {facts.copies} copies"
    if waits.cause == "copies":
        words = f"{some}, and waits for {wish(facts.count, facts.types)} for the next."
    elif waits.cause == "never":
        words = f"{some}: its target {facts.target} has no room for more."
    else:
        words = f"{some}. {headline(facts, known, waits.cause or 'unseen')}"
    return msgspec.structs.replace(parts(facts, known, sees), cause="copies", headline=words)
