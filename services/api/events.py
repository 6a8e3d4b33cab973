"""Facts for subscribers over HTTP, in an order that lets nobody miss one."""

from __future__ import annotations

import asyncpg
from aiohttp import web

from services.api import cursor, stream
from services.api.answer import Answer
from services.api.call import Call
from services.api.paging import limit
from services.api.types import Event, Events, Following
from shared.database.sqlfile import sql
from shared.errors import Transient

EVENTS_AFTER = sql(__package__, "events_after")
EVENTS_LAST = sql(__package__, "events_last")

NEWEST = "newest"  # as `after`: only what is yet to come


async def index(call: Call[Following, None]) -> Answer | web.StreamResponse:
    place = await _start(call)
    if stream.wanted(call.request, call.query.follow):
        return await _follow(call, place)
    count = limit(call.query)
    rows = await call.database.fetch(EVENTS_AFTER, call.who.only, place, count)
    last = rows[-1]["position"] if rows else place
    items = [_view(row) for row in rows]
    return Answer(Events(items=items, next=cursor.make("events", last)))


async def _start(call: Call[Following, None]) -> int:
    given = call.request.headers.get("Last-Event-ID") or call.query.after
    if given == NEWEST:
        return int(await call.database.value(EVENTS_LAST))
    return cursor.number("events", given) or 0


def _view(row: asyncpg.Record) -> Event:
    return Event(
        id=row["id"],
        source=row["source"],
        type=row["type"],
        subject=row["subject"],
        time=row["time"],
        data=row["data"],
    )


async def _follow(call: Call[Following, None], place: int) -> web.StreamResponse:
    async with stream.opened(call) as out:
        while True:
            try:
                rows = await call.database.fetch(EVENTS_AFTER, call.who.only, place, stream.BATCH)
            except Transient:
                rows = []
            for row in rows:
                place = row["position"]
                await out.send(cursor.make("events", place), row["type"], _view(row))
            if len(rows) < stream.BATCH:
                await out.rest()
    return out.response
