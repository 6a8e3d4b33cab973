"""Servables: jobs that serve a model version, for an application or by themselves."""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from services.api import cursor, refused, urls
from services.api.answer import Answer, created
from services.api.call import Call
from services.api.definitions import able, configurations, servables
from services.api.definitions.found import Versions
from services.api.definitions.work import Work
from services.api.formats.checks import Wrongs, short
from services.api.formats.hydrosphere.application import model
from services.api.paging import limit, page
from services.api.sample import sample
from services.api.types import NoQuery, Paging
from services.api.types_hydrosphere import NewServable, Servable, ServableStatus
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.endpoint import Definition, Model
from shared.errors import Invalid
from shared.lifecycle import LIVE, State

SERVABLES = sql(__package__, "servables")

CONFIGURED = "configuration"


def status(state: State, running: int) -> ServableStatus:
    """The word that Hydrosphere's users know.

    >>> status(State.RUNNING, 1), status(State.RUNNING, 0), status(State.QUEUED, 0)
    ('Serving', 'NotAvailable', 'Starting')
    """
    if state is State.RUNNING:
        return "Serving" if running else "NotAvailable"
    return "Starting" if state in LIVE else "NotServing"


async def index(call: Call[Paging, None]) -> Answer:
    project = await call.project()
    before = cursor.number("servables", call.query.after)
    rows = await call.database.fetch(SERVABLES, project.seq, None, before, limit(call.query) + 1)
    router = call.context.router_url
    return Answer(page(rows, call.query, "servables", "seq", lambda row: view(row, router)))


async def _find(call: Call[Any, Any]) -> asyncpg.Record:
    project = await call.project()
    row = await call.database.row(SERVABLES, project.seq, call.path["servable"], None, 1)
    if row is None:
        raise refused.missing("servable", call.path["servable"])
    return row


async def show(call: Call[NoQuery, None]) -> Answer:
    return Answer(view(await _find(call), call.context.router_url))


async def inputs(call: Call[NoQuery, None]) -> Answer:
    entry = msgspec.convert((await _find(call))["definition"], Definition).endpoints[0].entry
    assert isinstance(entry, Model)
    return Answer(sample(entry.contract))


def view(row: asyncpg.Record, router: str) -> Servable:
    state = State(row["state"])
    url = urls.servable(router, row["name"]) if state is State.RUNNING else None
    said = {"status": status(state, row["copies_running"]), "url": url}
    return msgspec.convert(dict(row) | said, Servable)


async def make(call: Call[NoQuery, NewServable]) -> Answer:
    project, asked = await call.project(), call.body
    named = model(asked.model)
    if named is None:
        said = f"{short(asked.model)} is not a model version; write name:version"
        raise Invalid("model", said)

    async def write(connection: Connection) -> Answer:
        work = Work(
            connection=connection,
            project=project,
            context=call.context,
            asked="",
            by=call.who.token,
            any_class=call.who.may("admin"),
            wrongs=Wrongs(),
        )
        found = await Versions(work).find(*named)
        if isinstance(found, str):
            raise Invalid("model", found)
        settings = await configurations.find(work, asked.configuration)
        if settings is None:
            said = f"this project has no DeploymentConfiguration {short(asked.configuration)}"
            raise Invalid(CONFIGURED, said)
        scarce = able.without_gpus(settings, found.target, await work.stock(found.target))
        for remark in (*able.remarks(settings, found.target), scarce):
            if remark is not None and remark.refused:
                work.wrongs.add(CONFIGURED, f"{remark.path}: {remark.message}")
        work.wrongs.check()
        made = await servables.make(work, found, settings)
        row = await connection.fetchrow(SERVABLES, project.seq, made.name, None, 1)
        assert row is not None
        return created(view(row, call.context.router_url))

    return await call.once(write)
