"""Uploads: streams of bytes that a project may then refer to by digest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from services.api import body, refused
from services.api.answer import Answer, created
from services.api.call import Call, Project
from services.api.refused import Refused
from services.api.types import NoQuery, Upload
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.endpoint import Definition
from shared.problems import Wrong

UPLOAD_KEEP = sql(__package__, "upload_keep")
UPLOADS_SIZE = sql(__package__, "uploads_size")
UPLOADS_USE = sql(__package__, "uploads_use")
UPLOADS_OF = sql(__package__, "uploads_of")

RATE: Final = 32 << 10  # bytes a second that an upload must come with, on average


async def make(call: Call[NoQuery, None]) -> Answer:
    project = await call.project()
    limit, room = call.context.upload_limit, await space(call, project)
    chunks = body.chunks(call.request, min(limit, room), rate=RATE)
    try:
        blob = await call.context.blobs.put(chunks, limit=min(limit, room))
    except Refused as error:
        if error.problem.status == 413 and room < limit:
            raise refused.no_room(call.context.project_limit, room) from error
        raise
    await call.database.execute(UPLOAD_KEEP, project.seq, blob.digest, blob.size)
    return created(Upload(digest=blob.digest, size=blob.size))


async def space(call: Call[NoQuery, Any], project: Project) -> int:
    """Bytes that the project may still upload. What is uploaded at the same time is not counted."""
    most = call.context.project_limit
    if not most:
        return call.context.upload_limit
    return max(0, most - int(await call.database.value(UPLOADS_SIZE, project.seq)))


async def head(call: Call[NoQuery, None]) -> Answer:
    project = await call.project()
    digest = call.path["digest"]
    if not await _used(call.database, project.seq, [digest]):
        raise refused.missing("upload")
    return Answer(None, 200)


async def use(connection: Connection, project: int, definition: Definition) -> None:
    """Keep what a version is made of from being forgotten before the version is written."""
    files = (digest for files in definition.files.values() for digest in files.values())
    training = definition.training.digest if definition.training else ""
    await keep(connection, project, {definition.source, *files, training} - {""})


async def keep(database: Database | Connection, project: int, wanted: Collection[str]) -> None:
    """Keep blobs that are the project's from being forgotten within a day."""
    if len(await _used(database, project, sorted(wanted))) < len(wanted):
        raise refused.conflict("upload-gone", "An upload has been forgotten", "upload it again")


async def _used(database: Database | Connection, project: int, digests: list[str]) -> set[str]:
    """Those of some blobs that the project may use. They are not forgotten soon."""
    rows = await database.fetch(UPLOADS_USE, project, digests)
    return {row["digest"] for row in rows}


async def unknown(
    database: Database | Connection, project: int, named: Mapping[str, str]
) -> list[Wrong]:
    """What is wrong with references to uploads, given as field -> digest."""
    rows = await database.fetch(UPLOADS_OF, project, sorted(set(named.values())))
    there = {row["digest"] for row in rows}
    return missing((field for field, digest in named.items() if digest not in there))


def missing(fields: Iterable[str]) -> list[Wrong]:
    return [Wrong(field=field, message="was not uploaded to this project") for field in fields]
