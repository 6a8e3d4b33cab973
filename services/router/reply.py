"""Writing an answer to a client, byte for byte as it should be; the framing is always ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Final, cast

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from services.router.headers import lines
from services.router.problems import Told
from services.router.vet import CHUNKED, Header
from shared import problems

STALL: Final = 60.0  # seconds that a client may take nothing of its answer


def encode(told: Told) -> tuple[bytes, dict[str, str]]:
    """A problem's body and headers."""
    headers = {"Content-Type": problems.CONTENT_TYPE, "Cache-Control": "no-store"}
    if told.retry_after is not None:
        headers["Retry-After"] = str(told.retry_after)
    if told.cors:
        headers["Access-Control-Allow-Origin"] = "*"
        headers["Access-Control-Expose-Headers"] = "Retry-After"
    return msgspec.json.encode(told.problem), headers


class Reply(web.StreamResponse):
    """What was answered. It is written when the handler returns it, so nothing is left to do."""

    def __init__(self, request: web.BaseRequest, *, keep: bool) -> None:
        super().__init__()
        self.sent = 0  # the status, once the head is written
        self._head_only = request.method == "HEAD"
        self._old = request.version < (1, 1)
        self._keep = keep and not self._old
        self._out = cast(StreamWriter, request.writer)
        self._line = request.protocol

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None

    @property
    def keep_alive(self) -> bool:
        return self._keep

    def last(self) -> None:
        """Close the connection after this answer."""
        self._keep = False

    async def interim(self) -> None:
        """Tell the client to go on and send the body."""
        await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def whole(
        self, status: int, headers: Sequence[Header], body: bytes, reason: bytes | None = None
    ) -> None:
        """An answer that is all here."""
        head = self._head(status, reason, headers, len(body))
        await self.write(head if self._head_only else head + body)

    async def problem(self, told: Told) -> None:
        body, headers = encode(told)
        found = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.whole(told.problem.status, found, body)

    async def stream(
        self,
        status: int,
        reason: bytes,
        headers: Sequence[Header],
        length: int | None,
        body: AsyncIterator[bytes],
    ) -> None:
        """An answer as it comes. If `body` raises, the client sees that it was cut short."""
        bare = self._head_only or status in (204, 304)
        if length is None and not bare:
            length = CHUNKED
        chunked = length == CHUNKED and not self._old and not bare
        if length == CHUNKED and self._old:
            self._keep = False
        head = self._head(status, reason, headers, length, chunked=chunked)
        if bare:
            await self.write(head)
            return
        await self.write(head)
        async for chunk in body:
            await self.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk)
        if chunked:
            await self.write(b"0\r\n\r\n")

    def _head(
        self,
        status: int,
        reason: bytes | None,
        headers: Sequence[Header],
        length: int | None,
        *,
        chunked: bool = False,
    ) -> bytes:
        framing: list[Header] = []
        if chunked:
            framing.append((b"Transfer-Encoding", b"chunked"))
        elif length is not None and length >= 0 and status != 204:
            framing.append((b"Content-Length", b"%d" % length))
        if not self._keep:
            framing.append((b"Connection", b"close"))
        if reason is None:
            reason = HTTPStatus(status).phrase.encode()
        self.sent = status
        return lines(b"HTTP/1.1 %d %s" % (status, reason), [*headers, *framing])

    async def switch(self, headers: Sequence[Header]) -> None:
        """The last answer on this connection that is HTTP."""
        self._keep = False
        self.sent = 101
        upgrade = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        await self.write(lines(b"HTTP/1.1 101 Switching Protocols", [*headers, *upgrade]))

    async def write(self, data: bytes) -> None:  # type: ignore[override]
        """Bytes as they are."""
        await self._out.write(data, drain=False)
        if self._line.writing_paused:
            try:
                async with asyncio.timeout(STALL):
                    await self._out.drain()
            except TimeoutError as error:
                raise ConnectionError("the client takes nothing") from error
