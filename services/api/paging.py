"""Pages of lists: one row more than asked for tells whether there is a next page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import asyncpg
import msgspec

from services.api import cursor
from services.api.types import Page, Paging

T = TypeVar("T")
Row = asyncpg.Record


def limit(query: Paging) -> int:
    return cursor.clamp(query.limit)


def page(
    rows: Sequence[Row], query: Paging, kind: str, column: str, make: Callable[[Row], T]
) -> Page[T]:
    """Of `limit(query) + 1` rows; the next page begins after the last one's `column`."""
    count = limit(query)
    more = cursor.make(kind, rows[count - 1][column]) if len(rows) > count else None
    return Page(items=[make(row) for row in rows[:count]], next=more)


def rows_of(kind: type[T]) -> Callable[[Row], T]:
    """Rows whose columns are the fields of `kind`; other columns are left out."""

    def make(row: Row) -> T:
        return msgspec.convert(dict[str, Any](row), kind)

    return make
