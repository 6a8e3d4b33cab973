"""An upload of a model: `metadata` as JSON and `payload` as an archive, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import BodyPartReader, web

from services.api import body, refused, uploads
from services.api.hydrosphere.ask import Ask

MOST: Final = 8  # parts
CHUNK: Final = 1 << 16


async def read(ask: Ask) -> tuple[Any, str]:
    """The metadata, and the digest of the payload. Refused when one of them is not there."""
    if not ask.request.content_type.startswith("multipart/"):
        raise refused.unsupported("send multipart/form-data with `metadata` and `payload`")
    metadata: Any = None
    digest = ""
    try:
        reader = await ask.request.multipart()
        for _ in range(MOST):
            async with asyncio.timeout(body.GRACE):
                part = await reader.next()
            if part is None:
                break
            if not isinstance(part, BodyPartReader):
                raise refused.malformed_request("a part has parts of its own")
            if part.name == "payload":
                digest = await _keep(ask, part)
            elif part.name == "metadata":
                sent = b"".join([chunk async for chunk in _chunks(part, body.LIMIT, body.RATE)])
                metadata = body.parse(sent)
            else:
                raise refused.malformed_request("its parts are `metadata` and `payload`")
    except TimeoutError:
        raise refused.too_slow() from None
    except (ValueError, AssertionError, web.RequestPayloadError, EOFError) as error:
        raise refused.malformed_request("it is not well-formed multipart/form-data") from error
    if metadata is None or not digest:
        raise refused.malformed_request("it needs both `metadata` and `payload`")
    return metadata, digest


async def _keep(ask: Ask, part: BodyPartReader) -> str:
    room = await uploads.space(ask.call(), ask.project)
    limit = min(ask.context.upload_limit, room)
    blob = await ask.context.blobs.put(_chunks(part, limit, uploads.RATE), limit=limit)
    values = (ask.project.seq, blob.digest, blob.size)
    await ask.context.database.execute(uploads.UPLOAD_KEEP, *values)
    return blob.digest


async def _chunks(part: BodyPartReader, limit: int, rate: int) -> AsyncIterator[bytes]:
    """A part as it comes. Raises Refused when it is too large, TimeoutError when it is too slow."""
    began, size = asyncio.get_running_loop().time(), 0
    while True:
        async with asyncio.timeout_at(began + body.GRACE + size / rate):
            chunk = await part.read_chunk(CHUNK)
        if not chunk:
            return
        size += len(chunk)
        if size > limit:
            raise refused.too_large(limit)
        yield chunk
