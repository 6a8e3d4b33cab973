"""The other end of a connection, frame by frame, as a test tells it: servers that grpcio is not."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from hpack import Decoder, Encoder

from shared.address import Address
from shared.unary.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    number,
    settings,
    window_update,
)

OK = ((":status", "200"), ("content-type", "application/grpc"))
DONE = (("grpc-status", "0"),)


@dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass
class Request:
    stream: int
    headers: dict[str, str]
    message: bytes


class Peer:
    """Reads what the client sends, and sends what the test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self.encoder = Encoder()
        self.resets: dict[int, int] = {}  # stream: code
        self.goaway: int | None = None  # the code
        self.windows: dict[int, int] = {}  # stream: bytes given back since the beginning
        self.bodies: dict[int, bytes] = {}  # what has come of messages, by stream
        self.acks = 0  # of settings

    async def greet(self, values: dict[int, int] | None = None) -> None:
        assert await self._reader.readexactly(len(PREFACE)) == PREFACE
        self.send(settings(values or {}))

    def send(self, *pieces: bytes) -> None:
        self._writer.write(b"".join(pieces))

    async def sent(self) -> None:
        await self._writer.drain()

    async def frame(self) -> Frame:
        """The next one, whatever it is. Raises IncompleteReadError at the end."""
        head = await self._reader.readexactly(9)
        high, low, kind, flags, stream = struct.unpack(">BHBBL", head)
        payload = await self._reader.readexactly(high << 16 | low)
        if kind == RST_STREAM:
            self.resets[stream] = number(payload)
        elif kind == GOAWAY:
            self.goaway = number(payload, 4)
        elif kind == WINDOW_UPDATE:
            self.windows[stream] = self.windows.get(stream, 0) + number(payload)
        elif kind == DATA:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
        elif kind == SETTINGS and flags & ACK:
            self.acks += 1
        return Frame(kind, flags, stream, payload)

    async def until(self, *kinds: int) -> Frame:
        while (got := await self.frame()).kind not in kinds:
            pass
        return got

    async def to_the_end(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self.frame()

    async def headers(self) -> tuple[int, dict[str, str]]:
        got = await self.until(HEADERS)
        assert got.flags & END_HEADERS
        assert not got.flags & END_STREAM
        return got.stream, self.decoded(got.payload)

    def decoded(self, block: bytes) -> dict[str, str]:
        pairs = list(self._decoder.decode(block))
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    async def request(self) -> Request:
        """One whole call; nothing of another comes in between."""
        stream, headers = await self.headers()
        while not (await self.until(DATA)).flags & END_STREAM:
            pass
        message = self.bodies.pop(stream)
        assert message[:5] == struct.pack(">BL", 0, len(message) - 5)
        return Request(stream, headers, message[5:])

    def head(self, stream: int, pairs: tuple[tuple[str, str], ...] = OK, flags: int = 0) -> bytes:
        return frame(HEADERS, END_HEADERS | flags, stream, self.encoder.encode(pairs))

    def tail(self, stream: int, pairs: tuple[tuple[str, str], ...] = DONE) -> bytes:
        return self.head(stream, pairs, END_STREAM)

    def answer(self, stream: int, message: bytes = b"answer") -> bytes:
        return self.head(stream) + data(stream, framed(message)) + self.tail(stream)

    def close(self) -> None:
        self._writer.transport.abort()


def framed(message: bytes, *, compressed: bool = False) -> bytes:
    return struct.pack(">?L", compressed, len(message)) + message


def data(stream: int, payload: bytes, flags: int = 0) -> bytes:
    return frame(DATA, flags, stream, payload)


def continued(stream: int, block: bytes, flags: int = END_HEADERS) -> bytes:
    return frame(CONTINUATION, flags, stream, block)


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class Foe:
    address: Address
    peers: list[Peer] = field(default_factory=list)
    over: list[asyncio.Task[None]] = field(default_factory=list)

    async def done(self) -> None:
        """Wait for all scripts; raises what they raised."""
        await asyncio.gather(*self.over)


@asynccontextmanager
async def foe(*scripts: Script) -> AsyncIterator[Foe]:
    """A server whose first connection follows the first of `scripts`, and so on; the last for all
    that come after. A script that is over leaves its connection open."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        found.peers.append(peer)
        script = scripts[min(len(found.peers), len(scripts)) - 1]
        found.over.append(asyncio.create_task(follow(script, peer)))

    async def follow(script: Script, peer: Peer) -> None:
        try:
            await script(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        except Exception:
            peer.close()
            raise

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found = Foe(Address(f"http://127.0.0.1:{port}"))
    try:
        yield found
    finally:
        for task in found.over:
            task.cancel()
        ends = await asyncio.gather(*found.over, return_exceptions=True)
        for peer in found.peers:
            peer.close()
        server.close()
        for end in ends:
            if isinstance(end, Exception):
                raise end


def plain(answer: bytes = b"answer") -> Script:
    """Answers every call with the same."""

    async def script(peer: Peer) -> None:
        await peer.greet()
        while True:
            request = await peer.request()
            peer.send(peer.answer(request.stream, answer))

    return script


async def open_wide(peer: Peer) -> None:
    """Greets, and takes messages of any size."""
    await peer.greet({INITIAL_WINDOW_SIZE: (1 << 31) - 1})
    peer.send(window_update(0, (1 << 31) - 1 - 65535))
