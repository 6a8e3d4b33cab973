"""How a try to build a version ended, and what follows from it."""

from __future__ import annotations

from typing import Final

import msgspec

from services.builder.claims import Built, Claim, Failed

MOST_CLAIMS: Final = 20
"""Builders that may die over one version before it counts as what kills them."""
MOST_ERRORS: Final = 3
FEWEST_TROUBLES: Final = 5
"""Tries that passing trouble has to spoil before it counts as one that does not pass."""
PAUSE: Final = 3.0  # seconds before trouble is tried again, the first time
LONGEST_PAUSE: Final = 60.0
PATIENCE: Final = 3600.0  # seconds that trouble may last


class Again(msgspec.Struct, frozen=True):
    """Not ended: it is to be tried again, through no fault of the version's owner."""

    pause: float
    errors: int = 0  # of our own
    troubles: int = 0
    cause: str | None = None  # trouble that its owner should know of


def before(held: Claim) -> Failed | None:
    """What is not even tried."""
    if held.claims > MOST_CLAIMS:
        return Failed(f"its build ended {MOST_CLAIMS} builders of the platform; not tried again")
    return None


def after_trouble(held: Claim, cause: str, patience: float) -> Again | Failed:
    """Trouble that lasts is told to the version's owner, and the version is given up."""
    tries = held.troubles + 1
    if tries >= FEWEST_TROUBLES and held.troubled >= patience:
        return Failed(f"{cause} (given up after {tries} tries in {held.troubled / 60:.0f} min)")
    pause = min(PAUSE * 2.0 ** min(held.troubles, 10), LONGEST_PAUSE)
    return Again(pause=pause, troubles=1, cause=cause)


def after_error(held: Claim) -> Again | Failed:
    """An error of our own."""
    if held.errors + 1 < MOST_ERRORS:
        return Again(pause=PAUSE, errors=1)
    return Failed(f"the platform failed to build it {MOST_ERRORS} times; try again later")


def said(outcome: Built | Failed | Again) -> str:
    match outcome:
        case Built():
            return "ready"
        case Failed(reason):
            return f"failed: {reason}"
        case Again(cause=cause, pause=pause):
            why = cause or "trouble of the platform"
            return f"interrupted: {why}; it will be tried again in {pause:g} s"
