"""Sources: code in a git repository, which a builder fetches. Once ready it is an upload."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from services.api import cursor, refused
from services.api.answer import Answer
from services.api.call import Call, Project
from services.api.context import Context
from services.api.paging import limit, page, rows_of
from services.api.types import NoQuery, Paging
from services.api.types_git import NewSource, Source
from shared import git, ids
from shared.database.events import announce
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.endpoint import Origin
from shared.errors import Invalid
from shared.events import SourceSubmitted
from shared.git import Trusted
from shared.ids import SourceId
from shared.problems import Wrong

SOURCES = sql(__package__, "sources")
SOURCE_MAKE = sql(__package__, "source_make")
SOURCE_ORIGIN = sql(__package__, "source_origin")
SOURCE_RECENT = sql(__package__, "source_recent")

WAITING: Final = 20  # sources of one project that may wait to be fetched
PATIENCE: Final = 20.0  # seconds that a request waits for its code
RECENT: Final = 60.0  # seconds for which what was fetched counts as what is there now
LOOK: Final = 0.2
FIELDS: Final = ("url", "ref", "path")


async def make(call: Call[NoQuery, NewSource]) -> Answer:
    project = await call.project()
    asked = checked(call.body, call.context.trusted)

    async def write(connection: Connection) -> Answer:
        made = await submit(connection, project, asked)
        row = await connection.fetchrow(SOURCES, project.seq, made, None, 1)
        assert row is not None
        return Answer(rows_of(Source)(row), 202)

    return await call.once(write)


def checked(asked: NewSource, trusted: Trusted) -> NewSource:
    """What was asked for in its one form. Raises Invalid with all that is wrong."""
    found: dict[str, str] = {}
    wrongs: list[Wrong] = []
    checks: dict[str, Callable[[], str]] = {
        "url": lambda: git.remote(asked.url, trusted).url,
        "ref": lambda: git.ref(asked.ref),
        "path": lambda: git.folder(asked.path),
    }
    for name, check in checks.items():
        try:
            found[name] = check()
        except Invalid as error:
            wrongs += error.errors
    if wrongs:
        raise Invalid.of(wrongs)
    return NewSource(**found)


async def submit(connection: Connection, project: Project, asked: NewSource) -> SourceId:
    """Write a source that was checked."""
    made = SourceId(ids.new("s"))
    values = (made, project.seq, asked.url, asked.ref, asked.path, WAITING)
    if await connection.fetchval(SOURCE_MAKE, *values) is None:
        raise refused.conflict(
            "too-many-sources", f"The project has {WAITING} sources that wait to be fetched"
        )
    fact = SourceSubmitted(source=made, url=asked.url, ref=asked.ref)
    await announce(connection, fact, project=project.seq, source=project.source)
    return made


async def fetched(context: Context, project: Project, asked: NewSource) -> str:
    """The digest of a source that was checked, fetched now unless it came a moment ago.

    Raises Invalid when it can't be fetched. Takes no longer than a request may: Refused tells to
    ask again, and whoever does finds the same fetch.
    """
    source = await _begun(context, project, asked)
    clock = asyncio.get_running_loop().time
    until = clock() + PATIENCE
    while clock() < until and not context.stopping.is_set():
        row = await context.database.row(SOURCES, project.seq, source, None, 1)
        assert row is not None
        if row["state"] == "ready":
            return str(row["digest"])
        if row["state"] == "failed":
            raise _failed(row["reason"])
        await asyncio.sleep(LOOK)
    raise refused.busy("the code is still being fetched", seconds=2)


def _failed(reason: str) -> Invalid:
    field, _, message = reason.partition(": ")
    return Invalid(field, message) if field in FIELDS else Invalid("url", f"failed: {reason}")


async def _begun(context: Context, project: Project, asked: NewSource) -> SourceId:
    async def work(connection: Connection) -> SourceId:
        values = (project.seq, asked.url, asked.ref, asked.path, RECENT)
        found = await connection.fetchval(SOURCE_RECENT, *values)
        return SourceId(found) if found else await submit(connection, project, asked)

    return await context.database.transact(work)


async def origin(database: Database | Connection, project: int, digest: str) -> Origin | None:
    """Where code of that digest was fetched from; None when it was uploaded."""
    rows = await database.fetch(SOURCE_ORIGIN, project, digest)
    return msgspec.convert(dict(rows[0]), Origin) if rows else None


async def index(call: Call[Paging, None]) -> Answer:
    project = await call.project()
    before = cursor.number("sources", call.query.after)
    rows = await call.database.fetch(SOURCES, project.seq, None, before, limit(call.query) + 1)
    return Answer(page(rows, call.query, "sources", "seq", rows_of(Source)))


async def show(call: Call[NoQuery, None]) -> Answer:
    project = await call.project()
    row = await call.database.row(SOURCES, project.seq, call.path["source"], None, 1)
    if row is None:
        raise refused.missing("source")
    return Answer(rows_of(Source)(row))
