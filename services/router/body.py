"""A client's body as it comes, with limits to its size and its slowness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPException
from aiohttp.web_protocol import RequestPayloadError

from services.router.reply import Reply
from shared.errors import PlatformError

BROKEN: Final = (HttpProcessingError, ClientPayloadError, RequestPayloadError, HTTPException)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    size: int = 0  # bytes; 0: none
    stall: float = 60.0  # seconds without a byte
    grace: float = 10.0  # seconds of waiting for the client, after which ...
    rate: int = 1024  # ... it must have sent this many bytes a second
    longest: float = 0.0  # seconds of waiting for the client in all; 0: no limit


class Unfit(PlatformError):
    """The client did not send the body that it announced."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


async def body(
    request: web.BaseRequest, reply: Reply, limits: Limits, *, expected: bool
) -> AsyncIterator[bytes]:
    """Raises Unfit. `expected`: the client waits to be told to go on."""
    if expected:
        await reply.interim()
    clock = asyncio.get_running_loop().time
    size, waited = 0, 0.0
    while True:
        began = clock()
        try:
            async with asyncio.timeout(limits.stall):
                chunk = await request.content.readany()
        except TimeoutError as error:
            raise Unfit(408, "The body does not come.") from error
        except BROKEN as error:
            raise Unfit(400, "The body is not framed as HTTP/1.1 wants.") from error
        if not chunk:
            return
        size += len(chunk)
        waited += clock() - began
        if limits.size and size > limits.size:
            raise Unfit(413, f"The body is larger than the {limits.size} bytes allowed.")
        slow = waited > limits.grace and size < waited * limits.rate
        if slow or (limits.longest and waited > limits.longest):
            raise Unfit(408, "The body comes too slowly.")
        yield chunk
