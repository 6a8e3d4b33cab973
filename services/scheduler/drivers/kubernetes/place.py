"""How far the log of a copy has been read, told by its last line alone. Pure.

A node stamps lines to the nanosecond and hands them out from a whole second on, so what was read
before comes again. Lines may share a stamp; from the second of them on, ours ends with a number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_FORM: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)


class Place:
    """Reading of one copy's log. `begin` before each time that it is read."""

    def __init__(self, stamp: str = "") -> None:
        """After the line with this stamp."""
        self._at, _, count = stamp.partition("Z.")
        self._at += "Z" if count else ""
        self._count = int(count) if count.isdecimal() else 1 if stamp else 0
        self._again = 0
        self._past = False

    @property
    def since(self) -> str:
        """From when on to read, to the second; "" is from the beginning."""
        return f"{self._at[:19]}Z" if self._at else ""

    def begin(self) -> None:
        self._again = self._count
        self._past = False

    def stamp(self, at: str) -> str | None:
        """Of a line that the node stamped `at`, later than that of any line before; None when it
        was read before.

        >>> place = Place("2026-01-01T00:00:01.000000005Z")
        >>> place.begin()
        >>> [place.stamp(f"2026-01-01T00:00:01.{at}Z") for at in ("000000004", "000000005")]
        [None, None]
        >>> [place.stamp("2026-01-01T01:00:01.00000001+01:00") for _ in range(2)]
        ['2026-01-01T00:00:01.000000010Z', '2026-01-01T00:00:01.000000010Z.000002']
        """
        at = normal(at)
        if not self._past:
            if at < self._at:
                return None
            if at == self._at and self._again > 0:
                self._again -= 1
                return None
        self._past = True  # from here on, a clock that was set back loses nothing
        if at > self._at:
            self._at, self._count = at, 1
        else:
            self._count += 1
        return self._at if self._count == 1 else f"{self._at}.{self._count:06}"


def normal(at: str) -> str:
    """RFC 3339 in UTC with nine digits, which orders as text; "" for what is none."""
    found = _FORM.fullmatch(at)
    if found is None:
        return ""
    second, fraction, zone = found.groups()
    if zone != "Z":
        try:
            moment = datetime.fromisoformat(second + zone).astimezone(UTC)
        except (ValueError, OverflowError):
            return ""
        second = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{second}.{(fraction or '').ljust(9, '0')}Z"
