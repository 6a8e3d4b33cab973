"""Lists as CSV (RFC 4180), safe to open in a spreadsheet. Pure, but for `wanted` and `answer`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiohttp import web

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes to begin a formula. A quote before it says that it is text."""


def wanted(request: web.Request) -> bool:
    """Whether CSV is asked for, by the Accept header."""
    return "text/csv" in request.headers.get("Accept", "")


def written(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A line of names, then a line for each row; None is an empty cell.

    >>> written(["name", "n"], [["=1+1", None], ["a,b", 2]]).split("\\r\\n")
    ['name,n', "'=1+1,", '"a,b",2', '']
    """
    text = io.StringIO()
    writer = csv.writer(text)  # its own way is that of RFC 4180
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def answer(name: str, text: str) -> web.Response:
    """CSV as a file called `name`."""
    return web.Response(
        body=text.encode(),
        content_type="text/csv",
        charset="utf-8",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.lstrip(" ").startswith(FORMULA) else value
    return str(value)
