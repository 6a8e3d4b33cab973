"""Times as people write them where they ask for a span: UTC unless they say otherwise. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.errors import Invalid

EPOCH: Final = datetime.fromtimestamp(0, UTC)
MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FORMS: Final = "must be a time such as 2026-11-21T20:00:00Z, a day such as 2026-11-21 or a month"


def moment(field: str, text: str) -> datetime:
    """The time, or the beginning of the day or month. Raises Invalid naming `field`.

    >>> moment("from", "2026-11").isoformat()
    '2026-11-01T00:00:00+00:00'
    """
    whole = f"{text}-01" if MONTH.fullmatch(text) else text
    try:
        found = datetime.fromisoformat(whole)
        if DAY.fullmatch(whole):
            return found.replace(tzinfo=UTC)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(field, FORMS) from None
    raise Invalid(field, "must name its time zone, such as 2026-11-21T20:00:00Z")


def month(field: str, text: str) -> tuple[datetime, datetime]:
    """Where the month begins, and where the next one does. Raises Invalid naming `field`.

    >>> [each.isoformat()[:7] for each in month("month", "2026-12")]
    ['2026-12', '2027-01']
    """
    try:
        if not MONTH.fullmatch(text) or text.startswith("9999"):
            raise ValueError
        begins = datetime.fromisoformat(f"{text}-01").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid(field, "must be a month such as 2026-11") from None
    return begins, first(begins + timedelta(days=31))


def first(at: datetime) -> datetime:
    """Where the month of `at` begins."""
    utc = at.astimezone(UTC)
    return datetime(utc.year, utc.month, 1, tzinfo=UTC)


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - EPOCH) // timedelta(microseconds=1)


def of_micros(number: int) -> datetime:
    """What `micros` made the number of. Raises OverflowError for what is no time."""
    return EPOCH + timedelta(microseconds=number)
