"""Projects: where an owner's things are."""

from __future__ import annotations

from services.api import cursor, refused
from services.api.answer import Answer, created
from services.api.call import PROJECT, Call
from services.api.paging import limit, page, rows_of
from services.api.types import NewProject, NoQuery, Paging, Project
from shared.database.pool import Connection
from shared.database.sqlfile import sql

PROJECT_MAKE = sql(__package__, "project_make")
PROJECTS = sql(__package__, "projects")
OWNER = sql(__package__, "owner")


async def make(call: Call[NoQuery, NewProject]) -> Answer:
    owner, name = call.body.owner or call.who.owner, call.body.name
    if not call.who.sees(owner) or await call.database.row(OWNER, owner) is None:
        raise refused.missing("owner")

    async def write(connection: Connection) -> Answer:
        row = await connection.fetchrow(PROJECT_MAKE, owner, name)
        if row is None:
            raise refused.conflict("name-taken", "The owner has a project of that name")
        return created(rows_of(Project)(row))

    return await call.once(write)


async def index(call: Call[Paging, None]) -> Answer:
    after = cursor.number("projects", call.query.after)
    rows = await call.database.fetch(PROJECTS, call.who.only, after, limit(call.query) + 1)
    return Answer(page(rows, call.query, "projects", "seq", rows_of(Project)))


async def show(call: Call[NoQuery, None]) -> Answer:
    project = await call.project()
    row = await call.database.row(PROJECT, project.owner, project.name)
    assert row is not None
    return Answer(rows_of(Project)(row))
