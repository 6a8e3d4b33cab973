"""Opaque places in a list. A cursor of one list is refused by another, and so is a forged one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from shared.errors import Invalid

MARK: Final = 6  # bytes that bind the numbers to their list
LARGEST: Final = 2**63 - 1
FORM: Final = re.compile(r"[0-9]{1,19}")  # longer ones take Python long to read, or are refused


def _mark(kind: str, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=MARK, person=kind.encode()[:16]).digest()


def make(kind: str, *place: int | str) -> str:
    """A cursor at `place` of the list called `kind`."""
    content = "\x1f".join(str(part) for part in place).encode()
    return base64.urlsafe_b64encode(_mark(kind, content) + content).decode().rstrip("=")


def words(kind: str, cursor: str, count: int) -> tuple[str, ...] | None:
    """The place that `make` was given, None for the empty cursor; Invalid when forged."""
    if not cursor:
        return None
    try:
        both = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark, content = both[:MARK], both[MARK:]
        place = tuple(content.decode().split("\x1f"))
    except (binascii.Error, ValueError):
        raise _forged() from None
    if mark != _mark(kind, content) or len(place) != count:
        raise _forged()
    return place


def numbers(kind: str, cursor: str, count: int = 1) -> tuple[int, ...] | None:
    """The same for places that are numbers."""
    place = words(kind, cursor, count)
    if place is None:
        return None
    if not all(FORM.fullmatch(part) and int(part) <= LARGEST for part in place):
        raise _forged()
    return tuple(int(part) for part in place)


def number(kind: str, cursor: str) -> int | None:
    """The same for a place that is one number."""
    place = numbers(kind, cursor)
    return None if place is None else place[0]


def clamp(limit: int) -> int:
    return max(1, min(limit, 1000))


def _forged() -> Invalid:
    return Invalid("after", "is not a cursor of this list")
