"""What a batch job left behind: a tar, whole or in parts."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import Final

from aiohttp import web

from services.api import jobs, refused
from services.api.call import Call
from services.api.types import Job, NoQuery
from shared.database.sqlfile import sql
from shared.errors import Permanent
from shared.lifecycle import LIVE, OVER
from shared.problems import problem

OUTPUTS = sql(__package__, "outputs")
OUTPUTS_USE = sql(__package__, "outputs_use")

TYPE: Final = "application/x-tar"
RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def download(call: Call[NoQuery, None]) -> web.StreamResponse:
    """Honours a Range of one part. The ETag is the digest of the whole."""
    job = await jobs.find(call)
    row = await call.database.row(OUTPUTS, job.id)
    if row is None or await call.context.blobs.size(row["outputs"]) is None:
        raise refused.conflict("no-outputs", "The job has no outputs", _why(job))
    await call.database.execute(OUTPUTS_USE, job.id)
    digest, size = str(row["outputs"]), int(row["outputs_size"])
    asked = call.request.headers.get("Range")
    tag = call.request.headers.get("If-Range", f'"{digest}"')
    part = wanted(asked, size) if asked and tag == f'"{digest}"' else None
    begin, end = part or (0, size)
    response = web.StreamResponse(status=206 if part else 200, headers=_headers(job, digest))
    response.content_length = end - begin
    if part:
        response.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
    await response.prepare(call.request)
    try:
        async with aclosing(call.context.blobs.part(digest, begin, end)) as chunks:
            async for chunk in chunks:
                await response.write(chunk)
    except Permanent as error:  # it was removed meanwhile: the answer can only be cut short
        raise ConnectionError("the outputs have gone") from error
    await response.write_eof()
    return response


def wanted(header: str, size: int) -> tuple[int, int] | None:
    """From and up to which byte; None for all of it. Refused when there are none such.

    >>> wanted("bytes=2-3", 10), wanted("bytes=7-", 10), wanted("bytes=-4", 10), wanted("x=1", 10)
    ((2, 4), (7, 10), (6, 10), None)
    """
    found = RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]) or not header.isascii():
        return None
    if not found[1]:
        begin, end = max(0, size - int(found[2])), size
    else:
        begin, end = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
        if found[2] and int(found[2]) < begin:
            return None
    if begin >= end:
        told = problem("range", 416, "There is no such part", f"it has {size} bytes")
        raise refused.Refused(told, {"Content-Range": f"bytes */{size}"})
    return begin, end


def _headers(job: Job, digest: str) -> dict[str, str]:
    return {
        "Content-Type": TYPE,
        "Content-Disposition": f'attachment; filename="{job.id}.tar"',
        "Accept-Ranges": "bytes",
        "ETag": f'"{digest}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


def _why(job: Job) -> str:
    if job.kind != "batch":
        return "it is an endpoint; batch jobs have outputs"
    if job.state in OVER:
        return "they went when it was removed"
    if job.state in LIVE:
        return f"it is {job.state}; they are there when it has finished"
    return f"it is {job.state}, and left nothing that was kept"
