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
    rows: Sequence[Row],
    query: Paging,
    kind: str,
    column: str | Sequence[str],
    make: Callable[[Row], T],
) -> Page[T]:
    """Of `limit(query) + 1` rows; the next page begins after `column` (or columns) of the last."""
    count = limit(query)
    columns = (column,) if isinstance(column, str) else column
    place = [rows[count - 1][name] for name in columns] if len(rows) > count else None
    more = None if place is None else cursor.make(kind, *place)
    return Page(items=[make(row) for row in rows[:count]], next=more)


def rows_of(kind: type[T]) -> Callable[[Row], T]:
    """Rows whose columns are the fields of `kind`; other columns are left out."""

    def make(row: Row) -> T:
        return msgspec.convert(dict[str, Any](row), kind)

    return make
