"""Uploads: streams of bytes that a project may then refer to by digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from services.api import body, refused
from services.api.answer import Answer, created
from services.api.call import Call
from services.api.types import NoQuery, Upload
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.problems import Wrong

UPLOAD_KEEP = sql(__package__, "upload_keep")
UPLOADS_OF = sql(__package__, "uploads_of")

RATE: Final = 32 << 10  # bytes a second that an upload must come with, on average


async def make(call: Call[NoQuery, None]) -> Answer:
    project = await call.project()
    chunks = body.chunks(call.request, call.context.upload_limit, rate=RATE)
    blob = await call.context.blobs.put(chunks, limit=call.context.upload_limit)
    await call.database.execute(UPLOAD_KEEP, project.seq, blob.digest, blob.size)
    return created(Upload(digest=blob.digest, size=blob.size))


async def head(call: Call[NoQuery, None]) -> Answer:
    project = await call.project()
    digest = call.path["digest"]
    rows = await call.database.fetch(UPLOADS_OF, project.seq, [digest])
    if not rows:
        raise refused.missing("upload")
    return Answer(None, 200)


async def unknown(database: Database, project: int, named: Mapping[str, str]) -> list[Wrong]:
    """What is wrong with references to uploads, given as field -> digest."""
    rows = await database.fetch(UPLOADS_OF, project, sorted(set(named.values())))
    there = {row["digest"] for row in rows}
    return _missing((field for field, digest in named.items() if digest not in there))


def _missing(fields: Iterable[str]) -> list[Wrong]:
    return [Wrong(field=field, message="was not uploaded to this project") for field in fields]
