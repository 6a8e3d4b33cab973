"""Deployments: named, versioned collections of endpoints on one target."""

from __future__ import annotations

from services.api import cursor, refused
from services.api.answer import Answer, created
from services.api.call import DEPLOYMENT, Call
from services.api.paging import limit, page, rows_of
from services.api.types import Deployment, NewDeployment, NoQuery, Paging
from shared import ids
from shared.database.events import announce
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.events import DeploymentCreated

DEPLOYMENT_MAKE = sql(__package__, "deployment_make")
DEPLOYMENTS = sql(__package__, "deployments")


async def make(call: Call[NoQuery, NewDeployment]) -> Answer:
    project, asked = await call.project(), call.body
    target = call.context.target(asked.target)

    async def write(connection: Connection) -> Answer:
        made = ids.new("d")
        values = (made, project.seq, asked.name, target)
        if await connection.fetchval(DEPLOYMENT_MAKE, *values) is None:
            raise refused.conflict("name-taken", "The project has a deployment of that name")
        fact = DeploymentCreated(deployment=made, name=asked.name)
        await announce(connection, fact, project=project.seq, source=project.source)
        row = await connection.fetchrow(DEPLOYMENT, project.seq, asked.name)
        assert row is not None
        return created(rows_of(Deployment)(row))

    return await call.once(write)


async def index(call: Call[Paging, None]) -> Answer:
    project = await call.project()
    after = cursor.number("deployments", call.query.after)
    rows = await call.database.fetch(DEPLOYMENTS, project.seq, after, limit(call.query) + 1)
    return Answer(page(rows, call.query, "deployments", "seq", rows_of(Deployment)))


async def show(call: Call[NoQuery, None]) -> Answer:
    _, row = await call.deployment()
    return Answer(rows_of(Deployment)(row))  # type: ignore[arg-type]
