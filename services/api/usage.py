"""Usage: what GPUs were held for how long, and what that cost; from who held which, and no other.

Waiting costs nothing, and what is still held counts until now. See docs/billing.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import asyncpg
import msgspec
from aiohttp import web

from services.api import csv, cursor, period, refused
from services.api.answer import Answer
from services.api.call import PROJECT, Call
from services.api.jobs import JOBS
from services.api.money import money, part
from services.api.paging import limit
from services.api.types_billing import Usage, UsageLine, UsageQuery
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.errors import Invalid

USAGE = sql(__package__, "usage")
NOW = sql(__package__, "now")
OWNER = sql(__package__, "owner")

UNITS: Final = ("day", "month")
THINGS: Final = {  # what lines may be by -> what is told with it
    "owner": ("owner",),
    "project": ("owner", "project"),
    "job": ("owner", "project", "job", "name"),
    "target": ("target",),
    "gpu_type": ("gpu_type",),
    "price": ("price",),
}
SUMS: Final = ("gpu_seconds", "amount")
MOST: Final = 100_000  # lines of one document
NOTHING: Final = Decimal("0.000000")
T = TypeVar("T", bound=msgspec.Struct)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell of. `owner`, `project` and `job` None: of any."""

    since: datetime
    until: datetime
    unit: str | None = None
    things: tuple[str, ...] = ()
    owner: str | None = None
    project: str | None = None
    job: str | None = None

    @property
    def columns(self) -> list[str]:
        """The fields that its lines have."""
        told = [field for thing in THINGS if thing in self.things for field in THINGS[thing]]
        return [*["period"][: self.unit is not None], *dict.fromkeys(told), *SUMS]


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """Some lines, and the sums of all that there are."""

    lines: list[UsageLine]
    gpu_seconds: Decimal
    amount: Decimal


async def index(call: Call[UsageQuery, None]) -> Answer | web.StreamResponse:
    now: datetime = await call.database.value(NOW)
    now, start = _place(call.query, now)
    wish = await _wish(call, now)
    if csv.wanted(call.request):
        return await document(wish, await whole(call.database, wish), "usage")
    count = limit(call.query)
    found = await read(call.database, wish, start, count + 1)
    more = len(found.lines) > count
    return Answer(
        Usage(
            since=wish.since,
            until=wish.until,
            gpu_seconds=found.gpu_seconds,
            amount=found.amount,
            items=found.lines[:count],
            next=cursor.make("usage", period.micros(now), start + count) if more else None,
        )
    )


async def read(
    database: Database | Connection, wish: Wish, start: int = 0, count: int = MOST + 1
) -> Lines:
    """`count` of its lines after the first `start`."""
    values = (wish.owner, wish.project, wish.job, wish.since, wish.until, wish.unit, wish.things)
    rows = await database.fetch(USAGE, *values, start, count)
    return Lines(
        lines=await asyncio.to_thread(_lines, rows, wish),  # they may be many
        gpu_seconds=rows[0]["all_seconds"] if rows else NOTHING,
        amount=money(rows[0]["all_cost"]) if rows else NOTHING,
    )


async def whole(database: Database | Connection, wish: Wish) -> Lines:
    """All of its lines. Raises Invalid when they are too many for one document."""
    found = await read(database, wish)
    if len(found.lines) > MOST:
        said = f"leaves more than {MOST} lines; ask for less time, or for pages of /v1/usage"
        raise Invalid("from", said)
    return found


async def document(wish: Wish, found: Lines, name: str) -> web.Response:
    """Lines as CSV called `name`, with the columns that were asked for."""
    columns = wish.columns
    rows = ([getattr(line, column) for column in columns] for line in found.lines)
    return csv.answer(name, await asyncio.to_thread(csv.written, columns, rows))


def _lines(rows: Sequence[asyncpg.Record], wish: Wish) -> list[UsageLine]:
    columns = [name for name in wish.columns if name not in (*SUMS, "period")]
    length = {None: 0, "month": len("2026-11"), "day": len("2026-11-21")}[wish.unit]
    return [
        UsageLine(
            period=row["begins"].isoformat()[:length] if length else None,
            gpu_seconds=row["seconds"],
            amount=part(row["cost"], row["upto"]),
            **{name: row[name] for name in columns},
        )
        for row in rows
    ]


def _place(query: UsageQuery, now: datetime) -> tuple[datetime, int]:
    """What the first page took for the time, and how many lines came before this one."""
    found = cursor.numbers("usage", query.after, 2)
    if found is None:
        return now, 0
    if found[0] > period.micros(now):
        raise Invalid("after", "is not a cursor of this list")
    return period.of_micros(found[0]), found[1]


async def _wish(call: Call[UsageQuery, None], now: datetime) -> Wish:
    query = call.query
    since = period.moment("from", query.since) if query.since else period.first(now)
    until = period.moment("to", query.until) if query.until else max(now, since)
    if until < since:
        raise Invalid("to", "must not be before `from`")
    units, things = _by(query.by)
    owner, project = await _whose(call)
    return Wish(
        since=since,
        until=max(since, min(until, now)),
        unit=units[0] if units else None,
        things=things,
        owner=owner,
        project=project,
        job=await _job(call),
    )


def _by(text: str) -> tuple[list[str], tuple[str, ...]]:
    """The unit of time, if any, and what else lines are by; with all that is told with these."""
    said = [word for word in text.split(",") if word]
    if unknown := [word for word in said if word not in (*THINGS, *UNITS)]:
        allowed = ", ".join((*THINGS, *UNITS))
        raise Invalid(
            "by", f"must be some of {allowed}, with commas between; not {unknown[0][:20]}"
        )
    units: list[str] = [unit for unit in UNITS if unit in said]
    if len(units) > 1:
        raise Invalid("by", "must be by day or by month, not by both")
    told = {field for word in said for field in THINGS.get(word, ())}
    return units, tuple(thing for thing in THINGS if thing in told)


async def _whose(call: Call[UsageQuery, None]) -> tuple[str | None, str | None]:
    """The owner and the project that are asked about. Others' are not there."""
    query, who = call.query, call.who
    owner, project = query.owner, None
    if query.project is not None:
        of, slash, project = query.project.partition("/")
        if not slash or (owner is not None and owner != of):
            raise Invalid(
                "project", "must be of the form owner/project, and the owner's that is named"
            )
        owner = of
    if owner is None:
        return who.only, None
    if not who.sees(owner) or await call.database.row(OWNER, owner) is None:
        raise refused.missing("owner" if project is None else "project")
    if project is not None and await call.database.row(PROJECT, owner, project) is None:
        raise refused.missing("project")
    return owner, project


async def _job(call: Call[Any, None]) -> str | None:
    job: str | None = call.query.job
    if job is not None:
        values = (job, call.who.only, None, None, None, None, 1)
        if await call.database.row(JOBS, *values) is None:
            raise refused.missing("job")
    return job
