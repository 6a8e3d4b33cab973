"""What a cluster's answers mean for us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
import msgspec

from shared.errors import Permanent, PlatformError, Transient

SHOWN: Final = 500  # characters of what a server said


class Missing(Permanent):
    """There is no such object, or no such namespace to put it into."""


class Rejected(Permanent):
    """The cluster will never take it, and says why: the message is for a person."""


class Conflict(Transient):
    """Somebody else changed it, or it is changing: look again."""


class Taken(Conflict):
    """An object of that name is there already."""


class Expired(Transient):
    """What we asked from is too long ago: list anew."""


class Away(Transient):
    """No answer, or one that says nothing of what we asked; what was asked may have been done."""

    def __init__(self, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Denied(Away):
    """Our own credentials are not accepted, or may not do it: the operator's to mend.

    It passes: an API server that just began knows nobody's rights for a moment.
    """


class _Status(msgspec.Struct, frozen=True, kw_only=True):
    kind: str = ""
    message: str | None = None
    reason: str | None = None
    code: int | None = None


def of_answer(status: int, body: bytes, retry_after: str = "") -> PlatformError:
    """Which of our errors an answer that is none of the 2xx is.

    Only the API itself may say that something is missing or wrong: a proxy in front of it, or a
    server that is just starting, says 404 of what is there.

    >>> of_answer(404, b"404 page not found")
    Away('404 page not found')
    >>> of_answer(404, b'{"kind": "Status", "message": "no pod a", "reason": "NotFound"}')
    Missing('no pod a')
    """
    try:
        said = msgspec.json.decode(body, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = _Status()
    message = shown(said.message or body.decode(errors="replace")) or f"HTTP {status}"
    if status == 410:
        return Expired(message)
    if status == 401 or (status == 403 and _not_ours(message)):
        return Denied(message, status=status)
    if said.kind == "Status":
        if status == 404:
            return Missing(message)
        if status == 409:
            return (Taken if said.reason == "AlreadyExists" else Conflict)(message)
        if status in (400, 403, 405, 413, 415, 422) or _mistyped(message):
            return Rejected(message)
    return Away(message, status=status, retry_after=seconds(retry_after))


def _not_ours(message: str) -> bool:
    """Whether a refusal is of us (RBAC), not of the object (admission, quotas)."""
    return 'User "' in message and " cannot " in message


def _mistyped(message: str) -> bool:
    """Old servers say 500 of an applied object that has a field of another type."""
    return "failed to create typed patch object" in message


def seconds(retry_after: str) -> float | None:
    """A Retry-After of whole seconds; dates are not used by API servers.

    >>> seconds("3"), seconds("tomorrow")
    (3.0, None)
    """
    return float(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else None


def shown(message: str) -> str:
    """One line, not too long."""
    line = " ".join(message.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Turn all that can go wrong on the way to a cluster into Away."""
    try:
        yield
    except TimeoutError as error:
        raise Away("the API server did not answer in time") from error
    except (aiohttp.ClientError, OSError, EOFError) as error:
        raise Away(f"the API server is away: {shown(str(error) or repr(error))}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Away(f"the API server answered oddly: {shown(str(error))}") from error
