"""Logs and events as Hydrosphere's clients follow them: server-sent, with their names."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
from aiohttp import web

from services.api import logs, stream
from services.api.events import EVENTS_AFTER, EVENTS_LAST
from services.api.hydrosphere import manager, things, views
from services.api.hydrosphere.ask import Ask
from services.api.hydrosphere.views import View
from services.api.refused import Refused
from shared.database.versions import VersionState
from shared.errors import Transient
from shared.lifecycle import LIVE, State

PLACE: Final = re.compile(r"([0-9]{1,9})\.([0-9]{1,18})")
SERVABLE: Final = ("slipway.job.started.v1", "slipway.job.moved.v1", "slipway.job.failed.v1")
VERSION: Final = ("slipway.version.ready.v1", "slipway.version.failed.v1")

Over = Callable[[], Awaitable[bool]]


async def build(ask: Ask) -> web.StreamResponse:
    version = await manager.numbered(ask)

    async def over() -> bool:
        state = await ask.context.database.value(logs.VERSION_STATE, version)
        return VersionState(state) is not VersionState.BUILDING

    return await _log(ask, version, over)


async def servable(ask: Ask) -> web.StreamResponse:
    """What it printed so far; with `?follow=true`, also what it will."""
    job, follow = await manager.servable_job(ask), ask.request.query.get("follow") == "true"

    async def over() -> bool:
        state = State(await ask.context.database.value(logs.JOB_STATE, job, None))
        return not follow or state not in LIVE

    return await _log(ask, job, over)


async def _log(ask: Ask, subject: str, over: Over) -> web.StreamResponse:
    found = PLACE.fullmatch(ask.request.headers.get("Last-Event-ID", ""))
    place = (int(found[1]), int(found[2])) if found else (0, 0)
    ended, looks = False, 0
    async with stream.opened(ask.call()) as out:
        while not ended or looks < logs.LAST_LOOKS:
            try:
                looks += ended
                ended = ended or await over()
                values = (subject, *place, stream.BATCH)
                rows = await ask.context.database.fetch(logs.LOGS_AFTER, *values)
            except Transient:
                rows = []
            for row in rows:
                place = (row["attempt"], row["line"])
                await out.tell(f"{place[0]}.{place[1]}", "Log", row["text"])
            if len(rows) < stream.BATCH:
                await out.rest()
        await out.tell("", "EndOfStream", "")
    return out.response


async def events(ask: Ask) -> web.StreamResponse:
    """What changes from now on in the project. A model is told of when its build has ended."""
    place = int(await ask.context.database.value(EVENTS_LAST))
    source = f"/{ask.project.owner}/{ask.project.name}"
    async with stream.opened(ask.call()) as out:
        while True:
            try:
                values = (ask.project.owner, place, stream.BATCH)
                rows = await ask.context.database.fetch(EVENTS_AFTER, *values)
            except Transient:
                rows = []
            for row in rows:
                place = row["position"]
                told = await _told(ask, row) if row["source"] == source else None
                if told is not None:
                    await out.send(str(place), *told)
            if len(rows) < stream.BATCH:
                await out.rest()
    return out.response


async def _told(ask: Ask, row: asyncpg.Record) -> tuple[str, View] | None:
    """What a client hears of a fact: its name for it, and the thing as it is now."""
    kind, subject, data = row["type"], row["subject"], row["data"]
    try:
        if kind in VERSION:
            found = await things.versions(ask, ids=[subject])
            return ("ModelUpdate", views.version(found[0])) if found else None
        if kind.startswith("slipway.application."):
            if kind.endswith(".removed.v1"):
                return "ApplicationRemove", {"name": data["name"]}
            return "ApplicationUpdate", await things.application(ask, data["name"])
        if kind == "slipway.configuration.written.v1":
            configurations = await things.configurations(ask, subject)
            return ("DeploymentConfigurationUpdate", configurations[0]) if configurations else None
        if kind in SERVABLE:
            servables = [each for each in await things.servable_rows(ask) if each["job"] == subject]
            told = [await things.servable(ask, each) for each in servables]
            return ("ServableUpdate", told[0]) if told else None
    except (Refused, Transient):  # it is gone by now, or can't be read
        return None
    return None
