"""A server with methods to try it on, and a client that sends it frames as a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from shared.unary.codes import Code
from shared.unary.frames import (
    DATA,
    DEFAULT,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MOST,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    settings,
    window_update,
)
from shared.unary.serving import Limits, Refused, Server
from tests.shared.unary.peer import Peer, framed

ECHO = "/made.up.Service/Echo"
WAIT = "/made.up.Service/Wait"
FAIL = "/made.up.Service/Fail"

ASKED = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", ECHO),
    (":authority", "x"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)


def asked(path: str = ECHO, *more: tuple[str, str], **changes: str) -> tuple[tuple[str, str], ...]:
    """Headers of a call, with `changes` by names in which _ is -."""
    new = {name.replace("_", "-"): value for name, value in changes.items()}
    return (
        *((name, path if name == ":path" else new.pop(name, value)) for name, value in ASKED),
        *new.items(),
        *more,
    )


@dataclass
class Room:
    """How many bytes are held of messages, and the most there may be."""

    most: int = 1 << 40
    held: int = 0
    peak: int = 0

    def hold(self, more: int, mine: int) -> None:
        if self.held + more > self.most:
            raise Refused(Code.UNAVAILABLE, "no room", (("retry-after", "1"),))
        self.held += more
        self.peak = max(self.peak, self.held)

    def free(self, size: int) -> None:
        self.held -= size
        assert self.held >= 0


class Method:
    def __init__(self, room: Room) -> None:
        self.hold, self.free = room.hold, room.free

    async def answer(self, message: bytes, deadline: float | None) -> bytes:
        return message


class Waiting(Method):
    """Answers when `go` is set; says in `began` and `gone` what becomes of calls."""

    def __init__(self, room: Room) -> None:
        super().__init__(room)
        self.go = asyncio.Event()
        self.began: asyncio.Queue[bytes] = asyncio.Queue()
        self.gone: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(self, message: bytes, deadline: float | None) -> bytes:
        self.began.put_nowait(message)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.gone.put_nowait(message)
            raise
        return message


class Failing(Method):
    async def answer(self, message: bytes, deadline: float | None) -> bytes:
        if message == b"cancelled":
            raise asyncio.CancelledError
        if message:
            raise Refused(Code.NOT_FOUND, message.decode(), (("retry-after", "7"),))
        raise RuntimeError("a mistake of ours")


@dataclass
class Answer:
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    reset: int | None = None

    @property
    def status(self) -> int:
        return int((self.trailers or self.headers)["grpc-status"])

    @property
    def text(self) -> str:
        return (self.trailers or self.headers)["grpc-message"]


class Guest(Peer):
    """A client. `stream` is the number of its last call."""

    stream = -1

    async def hello(self, values: dict[int, int] | None = None) -> None:
        """With windows of any size, unless `values` are its settings."""
        if values is None:
            self.send(PREFACE, settings({INITIAL_WINDOW_SIZE: MOST}))
            self.send(window_update(0, MOST - DEFAULT))
        else:
            self.send(PREFACE, settings(values))
        assert (await self.frame()).kind == SETTINGS

    def open(
        self, pairs: tuple[tuple[str, str], ...] = ASKED, flags: int = 0, priority: bytes = b""
    ) -> int:
        """Begin a call; its number."""
        self.stream += 2
        block = priority + self.encoder.encode(pairs)
        self.send(frame(HEADERS, END_HEADERS | flags, self.stream, block))
        return self.stream

    def call(self, message: bytes = b"hi", pairs: tuple[tuple[str, str], ...] = ASKED) -> int:
        stream = self.open(pairs)
        self.send(frame(DATA, END_STREAM, stream, framed(message)))
        return stream

    async def answer_of(self, stream: int) -> Answer:
        """All that comes of it, in the order in which it may come."""
        async with asyncio.timeout(10):
            return await self._answer_of(stream)

    async def _answer_of(self, stream: int) -> Answer:
        found = Answer()
        while True:
            got = await self.frame()
            if got.kind == GOAWAY and got.payload[4:8] != bytes(4):
                raise AssertionError(got.payload)
            if got.stream != stream:
                continue
            if got.kind == RST_STREAM:
                found.reset = self.resets[stream]
                return found
            if got.kind == DATA:
                assert found.headers
                assert not found.trailers
                found.body += got.payload
            elif got.kind == HEADERS:
                told = self.decoded(got.payload)
                if found.headers:
                    found.trailers = told
                else:
                    found.headers = told
            if got.flags & END_STREAM and got.kind in (DATA, HEADERS):
                return found

    async def ask(
        self, message: bytes = b"hi", pairs: tuple[tuple[str, str], ...] = ASKED
    ) -> Answer:
        return await self.answer_of(self.call(message, pairs))

    async def end(self) -> int | None:
        """Once the server has closed: the code of its last GOAWAY."""
        async with asyncio.timeout(10):
            await self.to_the_end()
        self.close()
        return self.goaway


@dataclass
class Inn:
    """A server, and what its methods have seen."""

    port: int
    server: Server
    room: Room
    waiting: Waiting

    @asynccontextmanager
    async def guest(self, values: dict[int, int] | None = None) -> AsyncIterator[Guest]:
        found = await self.stranger()
        try:
            await found.hello(values)
            yield found
        finally:
            found.close()

    async def stranger(self) -> Guest:
        """Connected, and nothing was said."""
        return Guest(*await asyncio.open_connection("127.0.0.1", self.port))

    async def serves(self) -> None:
        """Another client is served as ever."""
        async with asyncio.timeout(10), self.guest() as other:
            assert (await other.ask(b"still there?")).body == framed(b"still there?")

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not wanted():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def inn(
    limits: Limits | None = None, *, room: Room | None = None, grace: float = 0.0
) -> AsyncIterator[Inn]:
    """At the end nothing may be left: no bytes held, no call counted, no task."""
    room = room or Room()
    waiting = Waiting(room)
    methods = {ECHO: Method(room), WAIT: waiting, FAIL: Failing(room)}
    server = Server({path.encode(): method for path, method in methods.items()}, limits)
    try:
        yield Inn(server.start("127.0.0.1", 0), server, room, waiting)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await server.stop(grace)
        hall = server._hall
        assert (room.held, hall.calls, len(hall.tasks), len(server._connections)) == (0, 0, 0, 0)
