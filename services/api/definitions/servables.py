"""Servables, made: a job that serves a model version, under a name of its own."""

from __future__ import annotations

from typing import Final

import msgspec

from services.api.definitions import able, words
from services.api.definitions.found import Found
from services.api.definitions.work import Work
from shared import ids
from shared.application import Configuration as Settings
from shared.database.events import announce
from shared.database.sqlfile import sql
from shared.errors import Transient
from shared.events import JobSubmitted
from shared.ids import ApplicationId, JobId

SERVABLE_MAKE = sql("services.api", "servable_make")

TRIES: Final = 20  # at a name that nobody has


class Servable(msgspec.Struct, frozen=True, kw_only=True):
    job: JobId
    name: str


async def make(
    work: Work, found: Found, settings: Settings, application: ApplicationId | None = None
) -> Servable:
    """Submit the job. What its target can't do has been refused before."""
    job, project, gpus = JobId(ids.new("j")), work.project, able.gpus(settings)
    for _ in range(TRIES):
        name = words.servable(found.model, found.name)
        values = (job, project.seq, name, found.version, found.target, gpus)
        more = (able.copies(settings), application, settings)
        if await work.connection.fetchval(SERVABLE_MAKE, *values, *more) is not None:
            break
    else:
        raise Transient("no name for a servable is free")
    fact = JobSubmitted(job=job, name=name, version=found.version, endpoint="model", gpu_count=gpus)
    await announce(work.connection, fact, project=project.seq, source=project.source)
    return Servable(job=job, name=name)
