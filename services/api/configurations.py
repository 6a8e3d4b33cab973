"""Deployment configurations, as people see them. They are made by applying definitions."""

from __future__ import annotations

from services.api import cursor, refused
from services.api.answer import Answer
from services.api.call import Call
from services.api.paging import limit, page, rows_of
from services.api.types import NoQuery, Paging
from services.api.types_hydrosphere import DeploymentConfiguration
from shared.database.sqlfile import sql

CONFIGURATIONS = sql(__package__, "configurations")
CONFIGURATION_REMOVE = sql(__package__, "configuration_remove")


async def index(call: Call[Paging, None]) -> Answer:
    project = await call.project()
    after = cursor.number("configurations", call.query.after)
    values = (project.seq, None, after, limit(call.query) + 1)
    rows = await call.database.fetch(CONFIGURATIONS, *values)
    return Answer(page(rows, call.query, "configurations", "seq", rows_of(DeploymentConfiguration)))


async def show(call: Call[NoQuery, None]) -> Answer:
    project = await call.project()
    values = (project.seq, call.path["configuration"], None, 1)
    row = await call.database.row(CONFIGURATIONS, *values)
    if row is None:
        raise refused.missing("configuration", call.path["configuration"])
    return Answer(rows_of(DeploymentConfiguration)(row))


async def remove(call: Call[NoQuery, None]) -> Answer:
    """Servables that are there keep what they were made with."""
    project = await call.project()
    name = call.path["configuration"]
    if await call.database.value(CONFIGURATION_REMOVE, project.seq, name) is None:
        raise refused.missing("configuration", call.path["configuration"])
    return Answer(None, 204)
