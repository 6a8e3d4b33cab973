"""What a registry can answer instead of what was asked, as our kinds of errors.

Messages name the registry and the repository and what to do; what a registry said is quoted only by
the codes that the specification knows, so that nothing it was told comes back in a message.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from shared.errors import Permanent, PlatformError, Transient

_CODE: Final = re.compile(r"[A-Z][A-Z_]{2,39}")
_DIGEST: Final = re.compile(rb"sha256:[0-9a-f]{64}")
_MISSING: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})
_PASSING: Final = frozenset({408, 425, 429})
_NEVER: Final = frozenset({501, 505})


class NotFound(Permanent):
    """The registry has no such repository, tag, manifest or blob."""


class Denied(Permanent):
    """The registry, or our own rules, do not let us."""


class Damaged(Permanent):
    """What came is not what was asked for: wrong digest, wrong kind, too large, unreadable."""


class MissingBlobs(Permanent):
    """A manifest names blobs that its repository does not have; push them and try again.

    `digests` are those the registry named, perhaps none.
    """

    def __init__(self, message: str, digests: frozenset[str]) -> None:
        super().__init__(message)
        self.digests = digests


class Passing(Transient):
    """Worth another attempt, after `after` seconds if the registry said so."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Silent(Passing):
    """Nothing came for as long as we wait. A further attempt costs as much again."""


class _Entry(msgspec.Struct):
    code: str = ""
    detail: msgspec.Raw = msgspec.Raw(b"null")


class _Errors(msgspec.Struct):
    errors: list[_Entry] = []


def failure(what: str, status: int, headers: Mapping[str, str], body: bytes) -> PlatformError:
    """The error that an answer with `status`, which is no success, amounts to."""
    said = said_with(status, codes(body))
    if status == 404:
        return NotFound(f"{what} is not in the registry ({said}); check its name")
    if status in (401, 403):
        return Denied(
            f"{what}: the registry does not let us ({said}); it may not exist, or the file that "
            "REGISTRY_AUTH names needs a user and password for this registry that may do this"
        )
    if status in _PASSING or (status >= 500 and status not in _NEVER):
        return Passing(
            f"{what}: the registry can't now ({said}); try again later",
            retry_after(headers.get("Retry-After", "")),
        )
    return Permanent(f"{what}: the registry refused ({said})")


def said_with(status: int, codes: frozenset[str]) -> str:
    return " ".join([str(status), *sorted(codes)])


def codes(body: bytes) -> frozenset[str]:
    """The codes of the specification in an error's body, at most five."""
    found = [entry.code for entry in _entries(body) if _CODE.fullmatch(entry.code)]
    return frozenset(found[:5])


def missing(what: str, body: bytes) -> MissingBlobs | None:
    """What a refused manifest's answer says about blobs that are not there, if it does."""
    entries = [entry for entry in _entries(body) if entry.code in _MISSING]
    if not entries:
        return None
    named = {match.decode() for entry in entries for match in _DIGEST.findall(bytes(entry.detail))}
    return MissingBlobs(f"{what}: the registry lacks blobs that it names", frozenset(named))


def _entries(body: bytes) -> list[_Entry]:
    try:
        return msgspec.json.decode(body, type=_Errors).errors
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def retry_after(value: str) -> float | None:
    """The seconds that a Retry-After header asks for; None when it says nothing we understand."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value[:64]).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
