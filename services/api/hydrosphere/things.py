"""Reading what Hydrosphere's clients ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from services.api import refused, servables
from services.api.applications import APPLICATION_JOBS, APPLICATION_REVISIONS, APPLICATIONS
from services.api.configurations import CONFIGURATIONS
from services.api.hydrosphere import views
from services.api.hydrosphere.ask import Ask
from services.api.hydrosphere.views import View
from services.api.servables import SERVABLES
from shared.application import Graph
from shared.database.sqlfile import sql
from shared.lifecycle import State

MANAGER_VERSIONS = sql("services.api", "manager_versions")

MOST = 10_000  # of a list, which has no pages


async def versions(
    ask: Ask,
    *,
    numbers: Sequence[int] | None = None,
    ids: Sequence[str] | None = None,
    model: str | None = None,
    name: str | None = None,
) -> list[asyncpg.Record]:
    values = (ask.project.seq, numbers, ids, model, name)
    return await ask.context.database.fetch(MANAGER_VERSIONS, *values)


async def version(ask: Ask, model: str, name: str) -> View:
    found = await versions(ask, model=model, name=name)
    if not found:
        raise refused.missing("model version")
    return views.version(found[0])


async def applications(ask: Ask, name: str | None = None) -> list[View]:
    database = ask.context.database
    rows = await database.fetch(APPLICATIONS, ask.project.seq, name, None, MOST)
    known = await configurations(ask)
    named = {each["name"]: each for each in known}
    return [await _application(ask, row, named) for row in rows]


async def application(ask: Ask, name: str) -> View:
    found = await applications(ask, name)
    if not found:
        raise refused.missing("application")
    return found[0]


async def _application(ask: Ask, row: asyncpg.Record, named: Mapping[str, View]) -> View:
    """By its newest revision."""
    database = ask.context.database
    graph = msgspec.convert(row["graph"], Graph)
    revisions = await database.fetch(APPLICATION_REVISIONS, row["id"], [row["revision"]])
    wanted = sorted({variant.version for stage in graph.stages for variant in stage.variants})
    found = {each["id"]: each for each in await versions(ask, ids=wanted)}
    jobs = await database.fetch(APPLICATION_JOBS, list(graph.jobs))
    names = {job["id"]: job["servable"] for job in jobs}
    return views.application(row, revisions[0]["written"], found, names, named)


async def configurations(ask: Ask, name: str | None = None) -> list[View]:
    values = (ask.project.seq, name, None, MOST)
    rows = await ask.context.database.fetch(CONFIGURATIONS, *values)
    return [views.configuration(dict[str, Any](row)) for row in rows]


async def servable_rows(ask: Ask, name: str | None = None) -> list[asyncpg.Record]:
    values = (ask.project.seq, name, None, MOST)
    return await ask.context.database.fetch(SERVABLES, *values)


async def servable(ask: Ask, row: asyncpg.Record) -> View:
    state = State(row["state"])
    status = servables.status(state, row["copies_running"])
    return views.servable(row, status, await version(ask, row["model"], row["version"]))
