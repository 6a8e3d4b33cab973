"""When a server that has ended is started again: a decision over what its ends were like."""

from __future__ import annotations

from typing import NamedTuple

CAN_NEVER_START = 78  # EX_CONFIG: the server says that no other try will help
HEALTHY = 10.0  # a life of so many seconds forgives the failures before it
HASTY = 0.05  # a clean end after less than this is no service; often in a row it is a hot loop
FREE = 5  # that many hasty clean ends in a row are started again at once
FIRST, FACTOR, MOST = 0.2, 2.0, 30.0  # seconds


class Ends(NamedTuple):
    """What is remembered of the ends of a server's lives."""

    restarts: int = 0
    failures: int = 0  # with an exit code other than 0, in a row, without a healthy life between
    hasty: int = 0  # clean but hasty ends in a row


class Again(NamedTuple):
    """Start it again after `delay` seconds, give or take the caller's jitter."""

    ends: Ends
    delay: float


class Never(NamedTuple):
    """Do not start it again."""

    ends: Ends


def after(ends: Ends, code: int, lived: float) -> Again | Never:
    """What follows the end of a life of `lived` seconds with exit code `code`."""
    if code == CAN_NEVER_START:
        return Never(ends._replace(failures=ends.failures + 1))
    restarts = ends.restarts + 1
    if code == 0:
        hasty = ends.hasty + 1 if lived < HASTY else 0
        forgiven = 0 if lived >= HEALTHY else ends.failures
        return Again(Ends(restarts, forgiven, hasty), growing(hasty - FREE))
    failures = 1 if lived >= HEALTHY else ends.failures + 1
    return Again(Ends(restarts, failures, 0), growing(failures))


def growing(times: int) -> float:
    """0 for 0 and less, then FIRST, doubling up to MOST."""
    return min(MOST, FIRST * FACTOR ** min(times - 1, 30)) if times > 0 else 0.0


def reason(code: int, what: str = "its server") -> str:
    """One line about an exit code, for a person. Negative codes are signals."""
    if code in (-9, 137):
        return f"{what} was killed (SIGKILL): perhaps the machine ran out of memory"
    if code in (-25, 153):
        return f"{what} was ended (SIGXFSZ): it made a larger file than it may"
    if code < 0:
        return f"{what} was ended by signal {-code}"
    if code == 0:
        return f"{what} ended (exit code 0)"
    return f"{what} ended with exit code {code}"
