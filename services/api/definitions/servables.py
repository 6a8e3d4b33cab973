"""Servables, made: a job that serves a model version, under a name of its own."""

from __future__ import annotations

from typing import Final

import msgspec

from services.api import scheduling
from services.api.definitions import able, words
from services.api.definitions.found import Found
from services.api.definitions.work import Work
from shared import ids
from shared.application import Configuration as Settings
from shared.database.events import announce
from shared.database.jobs import advance
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.database.versions import VersionState
from shared.errors import Invalid, Transient
from shared.events import JobFailed, JobQueued, JobSubmitted
from shared.ids import ApplicationId, JobId

SERVABLE_MAKE = sql("services.api", "servable_make")
VERSION_HELD = sql("services.api", "version_held")

CLASS: Final = "configuration.scheduling.priority"
TRIES: Final = 20  # at a name that nobody has


class Servable(msgspec.Struct, frozen=True, kw_only=True):
    job: JobId
    name: str


async def make(
    work: Work, found: Found, settings: Settings, application: ApplicationId | None = None
) -> Servable:
    """Submit the job. What its target can't do has been refused before. Raises Invalid
    when it is of a class that its owner may not ask for."""
    await _check_class(work, settings)
    wish = scheduling.servable(settings.scheduling)
    job, project, gpus = JobId(ids.new("j")), work.project, able.gpus(settings)
    for _ in range(TRIES):
        name = words.servable(found.model, found.name)
        values = (job, project.seq, name, found.version, found.target, gpus)
        more = (able.copies(settings), application, settings, *wish)
        if await work.connection.fetchval(SERVABLE_MAKE, *values, *more) is not None:
            break
    else:
        raise Transient("no name for a servable is free")
    fact = JobSubmitted(job=job, name=name, version=found.version, endpoint="model", gpu_count=gpus)
    await announce(work.connection, fact, project=project.seq, source=project.source)
    await _move_on(work.connection, job, found)
    return Servable(job=job, name=name)


async def _check_class(work: Work, settings: Settings) -> None:
    if work.any_class:
        return
    asked = {CLASS: settings.scheduling}
    wrongs = await scheduling.too_high(work.connection, work.project.owner, asked)
    if wrongs:
        raise Invalid.of(wrongs)


async def _move_on(connection: Connection, job: JobId, found: Found) -> None:
    """A job of a version that has ended waits for no builder."""
    row = await connection.fetchrow(VERSION_HELD, found.version)
    assert row is not None
    if row["state"] == VersionState.READY:
        await advance(connection, JobQueued(job=job))
    elif row["state"] == VersionState.FAILED:
        await advance(connection, JobFailed(job=job, reason=row["reason"]))
