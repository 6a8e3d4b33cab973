"""How far a container's log has been read: the last moment, and how much of it.

Engines stamp what they keep, but more than one frame may have the same stamp (Podman's API tells
whole seconds), so a place in a log is a stamp and a number of frames that have it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

_FRACTION = re.compile(r"\.(\d{1,9})")


class Cursor(msgspec.Struct, frozen=True):
    at: str = ""
    count: int = 0

    def __str__(self) -> str:
        return f"{self.at} {self.count}" if self.at else ""

    def past(self, at: str) -> Cursor:
        """After one more frame, stamped `at`."""
        return Cursor(at, self.count + 1 if at == self.at else 1)

    @property
    def key(self) -> tuple[datetime, str, int]:
        return (moment(self.at), self.at, self.count)

    @property
    def since(self) -> str:
        """The same moment as both engines take it: seconds and nanoseconds."""
        if not self.at:
            return ""
        fraction = _FRACTION.search(self.at)
        return f"{int(moment(self.at).timestamp())}.{fraction[1].ljust(9, '0') if fraction else 0}"


def cursor(text: str) -> Cursor:
    """The inverse of `str`; a damaged one is the beginning.

    >>> str(cursor("2026-01-01T00:00:00Z 2").past("2026-01-01T00:00:00Z"))
    '2026-01-01T00:00:00Z 3'
    """
    at, _, count = text.rpartition(" ")
    if not count.isdigit() or moment(at) == BEGINNING:
        return Cursor()
    return Cursor(at, int(count))


BEGINNING = datetime.fromtimestamp(0, UTC)


def moment(stamp: str) -> datetime:
    """RFC 3339, in microseconds; the beginning of time when it is none."""
    try:
        found = datetime.fromisoformat(stamp)
    except ValueError:
        return BEGINNING
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Gate:
    """Lets through what comes after `cursor` in a log that is read again from its moment on."""

    def __init__(self, start: Cursor) -> None:
        self.cursor = start
        self._again = start.count if start.at else 0  # frames of that stamp that were read before
        self._since = moment(start.at)
        self.torn = False  # what should have come again did not: the engine threw it away

    def new(self, at: str) -> bool:
        """Whether a frame stamped `at` has not been read before."""
        if self._again:
            if at == self.cursor.at:
                self._again -= 1
                return False
            if moment(at) < self._since:
                return False
            self.torn, self._again = True, 0
        self.cursor = self.cursor.past(at)
        return True
