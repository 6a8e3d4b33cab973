"""Logs of jobs and of builds: newest first in pages, oldest first when followed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from services.api import cursor, jobs, stream, versions
from services.api.answer import Answer
from services.api.call import Call
from services.api.paging import limit
from services.api.types import Following, LogLine, Page
from shared.database.sqlfile import sql
from shared.database.versions import VersionState
from shared.errors import Invalid, Transient
from shared.ids import VersionId
from shared.lifecycle import LIVE, State

LOGS_BEFORE = sql(__package__, "logs_before")
LOGS_AFTER = sql(__package__, "logs_after")
JOB_STATE = sql(__package__, "job_state")
VERSION_STATE = sql(__package__, "version_state")

PLACE: Final = re.compile(r"(\d{1,9})\.(\d{1,18})")
LAST_LOOKS: Final = 3  # at the lines after the end: whoever ships them may be a moment late

Ended = Callable[[], Awaitable[str | None]]
"""The state in which it is over, or None while more may come."""


async def of_job(call: Call[Following, None]) -> Answer | web.StreamResponse:
    job = await jobs.find(call)

    async def ended() -> str | None:
        state = State(await call.database.value(JOB_STATE, job.id, None))
        return None if state in LIVE or state is State.STOPPING else state

    return await _either(call, job.id, ended)


async def of_build(call: Call[Following, None]) -> Answer | web.StreamResponse:
    """Of the build that the job's image comes from."""
    return await of(call, VersionId((await jobs.find(call)).version))


async def of_version(call: Call[Following, None]) -> Answer | web.StreamResponse:
    return await of(call, await versions.find(call))


async def of(call: Call[Following, None], version: VersionId) -> Answer | web.StreamResponse:
    """Of the build of a version that was found."""

    async def ended() -> str | None:
        state = VersionState(await call.database.value(VERSION_STATE, version))
        return None if state is VersionState.BUILDING else state

    return await _either(call, version, ended)


async def _either(
    call: Call[Following, None], subject: str, ended: Ended
) -> Answer | web.StreamResponse:
    if stream.wanted(call.request, call.query.follow):
        return await _follow(call, subject, ended)
    return Answer(await _page(call, subject))


async def _page(call: Call[Following, None], subject: str) -> Page[LogLine]:
    count = limit(call.query)
    before = cursor.numbers("logs", call.query.after, 2) or (None, None)
    rows = await call.database.fetch(LOGS_BEFORE, subject, *before, count + 1)
    lines = [LogLine(**dict(row)) for row in rows[:count]]
    last = cursor.make("logs", lines[-1].attempt, lines[-1].line) if len(rows) > count else None
    return Page(items=lines, next=last)


def _start(call: Call[Following, None]) -> tuple[int, int]:
    """Where to go on: after the line that `Last-Event-ID` or `after` names."""
    given = call.request.headers.get("Last-Event-ID") or call.query.after
    found = PLACE.fullmatch(given or "0.0")
    if found is None or not found[0].isascii():
        raise Invalid("after", "must be of the form <attempt>.<line>")
    return int(found[1]), int(found[2])


async def _follow(call: Call[Any, Any], subject: str, ended: Ended) -> web.StreamResponse:
    place, over, looks = _start(call), None, 0
    async with stream.opened(call) as out:
        while over is None or looks < LAST_LOOKS:
            try:
                looks += over is not None
                over = over or await ended()
                rows = await call.database.fetch(LOGS_AFTER, subject, *place, stream.BATCH)
            except Transient:
                rows = []
            for row in rows:
                place = (row["attempt"], row["line"])
                await out.send(f"{place[0]}.{place[1]}", "line", LogLine(**dict(row)))
            if len(rows) < stream.BATCH:
                await out.rest()
        await out.send("", "end", over)
    return out.response
