"""A WebSocket: after the handshake, bytes pass both ways as they are until one side ends.

Frames are not looked into, so pings, close codes and sub-protocols are between client and
endpoint. No extension is offered onwards, so neither side compresses.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque
from typing import Final

from aiohttp import web

from services.router.reply import Reply
from services.router.upstream import CHUNK, Connection

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HIGH: Final = 4 * CHUNK  # bytes of a client's that wait for its endpoint before it is held back


def accept(key: bytes) -> bytes:
    """What proves that the other side speaks WebSocket (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


class Inbound:
    """Takes what comes from the client, as aiohttp's WebSocket reader would."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = 0
        self._chunks: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if data:
            self._chunks.append(data)
            self._held += len(data)
            self._news.set()
            if self._held > HIGH:
                self._transport.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        self._ended = True
        self._news.set()

    async def take(self) -> bytes:
        """What came since, b"" when no more will come."""
        while not self._chunks:
            if self._ended:
                return b""
            self._news.clear()
            await self._news.wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        if self._held > HIGH and not self._transport.is_closing():
            self._transport.resume_reading()
        self._held = 0
        return data


async def tunnel(
    request: web.BaseRequest, reply: Reply, connection: Connection, silence: float
) -> None:
    """Pass bytes until one side ends, or both are silent for `silence` seconds."""
    transport = request.transport
    if transport is None:
        return
    inbound = Inbound(transport)
    request.protocol.set_parser(inbound)  # type: ignore[arg-type]
    loop = asyncio.get_running_loop()
    seen = loop.time()

    async def up() -> None:
        nonlocal seen
        while data := await inbound.take():
            seen = loop.time()
            connection.writer.write(data)
            await connection.writer.drain()

    async def down() -> None:
        nonlocal seen
        while data := await connection.reader.read(CHUNK):
            seen = loop.time()
            await reply.write(data)

    tasks = {asyncio.create_task(up()), asyncio.create_task(down())}
    try:
        while True:
            left = max(0.0, seen + silence - loop.time())
            done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if done or loop.time() >= seen + silence:
                return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
