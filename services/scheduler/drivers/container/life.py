"""What is known of a replica, and how the reports of its first process change that. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from services.scheduler.driver import Observed, Phase
from services.scheduler.drivers.process.supervisor import backoff
from shared.address import Address


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """`life.json` in the replica's folder: replaced, never rewritten."""

    container: str  # its engine's id
    address: str = ""
    phase: Phase = Phase.STARTING
    lives: bool = False  # its server runs; else it is between two lives of it
    restarts: int = 0
    failures: int = 0
    exit_code: int | None = None
    reason: str = ""
    since: datetime | None = None
    complaint: str = ""  # the server's last word on itself, as process/supervisor/output.py says
    seen: str = ""  # up to where its log is kept
    read: bool = False  # its container has ended, and all of its log is kept


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a report makes of a life, and what the log shall say of it, if anything."""

    life: Life
    line: str = ""


def told(life: Life, words: Sequence[str], at: datetime) -> Told:
    """Each report says all that it is about, so one that was missed, or comes twice, does no harm.

    Anything else than a report changes nothing: whoever runs in the container could print it.
    """
    try:
        kind, numbers = words[0], [int(word[:9]) for word in words[1:]]
        match kind:
            case "began":
                restarts, failures = numbers
                life = msgspec.structs.replace(life, restarts=restarts, failures=failures)
                return Told(life=msgspec.structs.replace(life, lives=True, since=at))
            case "ended":
                return _ended(life, *numbers)
            case "never":
                return _never(life, *numbers)
            case "done":
                return Told(life=_done(life, *numbers))
    except (ValueError, TypeError, IndexError):
        pass
    return Told(life=life)


def ready(life: Life) -> Life:
    return msgspec.structs.replace(life, phase=Phase.READY, reason="")


def unread(life: Life) -> Life:
    """Of a run that has ended, while what it printed has not all been read."""
    return ready(life) if life.phase is Phase.FINISHED else life


def late(life: Life) -> Life:
    """Its server has not become ready for so long that nothing should be sent to it."""
    return msgspec.structs.replace(life, phase=Phase.STARTING)


def observed(life: Life, *, running: bool) -> Observed:
    """What `Driver.observe` says of it."""
    if not running and life.phase is not Phase.FINISHED:
        reason = life.reason if life.phase is Phase.BROKEN else "its processes are gone"
        life = msgspec.structs.replace(life, phase=Phase.GONE, reason=reason, since=None)
    return Observed(
        phase=life.phase,
        addresses=(Address(life.address),) if life.address else (),
        restarts=life.restarts,
        failures=life.failures,
        exit_code=life.exit_code,
        reason=life.reason,
        since=life.since,
    )


def exit_code(code: int) -> int:
    """As drivers say it: shells call the end by signal N 128 + N.

    >>> exit_code(3), exit_code(137), exit_code(255)
    (3, -9, 255)
    """
    return 128 - code if 128 < code <= 128 + 64 else code


def _done(life: Life, code: int) -> Life:
    code = exit_code(code)
    return msgspec.structs.replace(
        life,
        phase=Phase.FINISHED,
        lives=False,
        exit_code=code,
        reason=backoff.reason(code, "the command") if code else "",
        since=None,
    )


def _ended(life: Life, code: int, restarts: int, failures: int, delay: int) -> Told:
    reason = backoff.reason(exit_code(code))
    ended = msgspec.structs.replace(
        life,
        phase=Phase.CRASHING if code else life.phase,
        reason=reason if code else life.reason,
        exit_code=exit_code(code),
        restarts=restarts,
        failures=failures,
        lives=False,
    )
    again = f"{reason}; starting it again in {delay / 100:.1f} s"
    return Told(life=ended, line=again if code or delay else "")


def _never(life: Life, code: int, failures: int) -> Told:
    reason = life.complaint or "its server said that it can never start (exit code 78)"
    return Told(
        life=msgspec.structs.replace(
            life,
            phase=Phase.BROKEN,
            reason=reason,
            exit_code=code,
            failures=failures,
            lives=False,
        )
    )
