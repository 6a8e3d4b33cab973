"""Lines that jobs and builds print, kept so that any API process can show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from shared.database.pool import Database
from shared.database.sqlfile import sql

KEEP = sql(__package__, "log_keep")
LAST = sql(__package__, "log_last")
STAMPS = sql(__package__, "log_stamps")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """`line` counts from 1 within one attempt of one subject; `text` has no line end and no NUL."""

    line: int
    at: datetime
    stream: Literal["stdout", "stderr", "platform"]
    text: str
    source: str = ""  # which of several copies printed it
    stamp: str = ""  # when, as precisely as its source tells; orders the lines of one source


async def keep(database: Database, subject: str, attempt: int, lines: Sequence[Line]) -> None:
    """Keep `lines` of a job or a version. Keeping a line again changes nothing."""
    await database.execute(
        KEEP,
        subject,
        attempt,
        [line.line for line in lines],
        [line.at for line in lines],
        [line.stream for line in lines],
        [line.text for line in lines],
        [line.source for line in lines],
        [line.stamp for line in lines],
    )


async def last(database: Database, subject: str, attempt: int) -> int:
    """The number of the last line kept, 0 when there is none."""
    return int(await database.value(LAST, subject, attempt))


async def stamps(database: Database, subject: str, attempt: int) -> dict[str, str]:
    """The last stamp of each source whose lines have one."""
    rows = await database.fetch(STAMPS, subject, attempt)
    return {row["source"]: row["stamp"] for row in rows}
