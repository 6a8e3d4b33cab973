"""Applications, as people see them: what answers, what is to answer, and how to call it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg
import msgspec

from services.api import cursor, refused, signature, urls
from services.api.answer import Answer
from services.api.call import Call, Project
from services.api.paging import limit, page
from services.api.sample import sample
from services.api.servables import status
from services.api.types import NoQuery, Paging
from services.api.types_hydrosphere import (
    Application,
    ApplicationSummary,
    Revision,
    ServableVariant,
)
from shared.application import ApplicationState, Graph, Variant, hydrosphere
from shared.contract import Contract
from shared.database.events import announce
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.endpoint import Definition, Model
from shared.events import ApplicationRemoved
from shared.ids import ApplicationId
from shared.lifecycle import State

APPLICATIONS = sql(__package__, "applications")
APPLICATION_REVISIONS = sql(__package__, "application_revisions")
APPLICATION_JOBS = sql(__package__, "application_jobs")
APPLICATION_CONTRACTS = sql(__package__, "application_contracts")
APPLICATION_REMOVE = sql(__package__, "application_remove")

Sample = dict[str, Any]


async def index(call: Call[Paging, None]) -> Answer:
    project = await call.project()
    after = cursor.number("applications", call.query.after)
    values = (project.seq, None, after, limit(call.query) + 1)
    rows = await call.database.fetch(APPLICATIONS, *values)
    router = call.context.router_url
    return Answer(page(rows, call.query, "applications", "seq", lambda row: _summary(row, router)))


async def _find(call: Call[NoQuery, None]) -> tuple[Project, asyncpg.Record]:
    project = await call.project()
    values = (project.seq, call.path["application"], None, 1)
    row = await call.database.row(APPLICATIONS, *values)
    if row is None:
        raise refused.missing("application", call.path["application"])
    return project, row


def _summary(row: asyncpg.Record, router: str) -> ApplicationSummary:
    graph = msgspec.convert(row["graph"], Graph)
    models = [[f"{v.model}:{v.version_name}" for v in stage.variants] for stage in graph.stages]
    return msgspec.convert(_said(row, router) | {"models": models}, ApplicationSummary)


def _said(row: asyncpg.Record, router: str) -> dict[str, Any]:
    word = hydrosphere(ApplicationState(row["state"]))
    return dict(row) | {"status": word, "url": urls.application(router, row["name"])}


async def show(call: Call[NoQuery, None]) -> Answer:
    _, row = await _find(call)
    async with call.database.connection() as connection:
        return Answer(await _view(connection, row, call.context.router_url))


async def _view(connection: Connection, row: asyncpg.Record, router: str) -> Application:
    wanted = sorted({row["revision"], row["live"]} - {None})
    revisions = await connection.fetch(APPLICATION_REVISIONS, row["id"], wanted)
    graphs = {each["revision"]: msgspec.convert(each["graph"], Graph) for each in revisions}
    names = sorted({job for graph in graphs.values() for job in graph.jobs})
    jobs = {job["id"]: job for job in await connection.fetch(APPLICATION_JOBS, names)}
    views = {
        each["revision"]: _revision(each, graphs[each["revision"]], jobs) for each in revisions
    }
    answering = graphs[row["revision"] if row["live"] is None else row["live"]]
    newest = next(each for each in revisions if each["revision"] == row["revision"])
    more = {
        "signature": await _signature(connection, answering),
        "newest": views[row["revision"]],
        "live": None if row["live"] is None else views[row["live"]],
        "document": newest["written"],
    }
    return msgspec.convert(_said(row, router) | more, Application)


def _revision(row: asyncpg.Record, graph: Graph, jobs: Mapping[str, asyncpg.Record]) -> Revision:
    return Revision(
        revision=row["revision"],
        stages=[[_variant(each, jobs[each.job]) for each in s.variants] for s in graph.stages],
        created_at=row["created_at"],
    )


def _variant(variant: Variant, job: asyncpg.Record) -> ServableVariant:
    return ServableVariant(
        model=variant.model,
        version=variant.version_name,
        version_id=variant.version,
        weight=variant.weight,
        configuration=variant.configuration,
        job=variant.job,
        servable=job["servable"],
        state=State(job["state"]),
        status=status(State(job["state"]), job["copies_running"]),
        reason=job["reason"],
    )


async def _signature(database: Connection | Database, graph: Graph) -> Contract:
    wanted = sorted({variant.version for stage in graph.stages for variant in stage.variants})
    rows = await database.fetch(APPLICATION_CONTRACTS, wanted)
    contracts = {row["id"]: _contract(row["definition"]) for row in rows}
    return signature.signature(
        [[contracts[variant.version] for variant in stage.variants] for stage in graph.stages]
    )


def _contract(definition: Any) -> Contract:
    entry = msgspec.convert(definition, Definition).endpoints[0].entry
    assert isinstance(entry, Model)
    return entry.contract


async def inputs(call: Call[NoQuery, None]) -> Answer:
    """Of the revision that answers; of the newest while none does."""
    _, row = await _find(call)
    revision = row["revision"] if row["live"] is None else row["live"]
    found = await call.database.fetch(APPLICATION_REVISIONS, row["id"], [revision])
    graph = msgspec.convert(found[0]["graph"], Graph)
    return Answer(sample(await _signature(call.database, graph)))


async def remove(call: Call[NoQuery, None]) -> Answer:
    """Its name is free at once; the scheduler ends its servables."""
    project, _ = await _find(call)
    name = call.path["application"]

    async def write(connection: Connection) -> Answer:
        row = await connection.fetchrow(APPLICATION_REMOVE, project.seq, name)
        if row is None:
            raise refused.missing("application", call.path["application"])
        fact = ApplicationRemoved(
            application=ApplicationId(row["id"]),
            name=name,
            revision=row["revision"],
            by=call.who.token,
        )
        await announce(connection, fact, project=project.seq, source=project.source)
        return Answer(None, 204)

    return await call.once(write)
