"""A tiny server that records the exact bytes it gets and answers with the exact bytes it is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shared.address import Address


@dataclass
class Seen:
    """One request as it arrived."""

    head: bytes
    body: bytes = b""

    @property
    def line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    def values(self, name: str) -> list[str]:
        lines = self.head.split(b"\r\n")[1:]
        pairs = (line.decode("latin-1").split(":", 1) for line in lines if line)
        return [value.strip() for key, value in pairs if key.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        found = self.values(name)
        assert len(found) < 2, f"{name} came {len(found)} times"
        return found[0] if found else None


NOWHERE = Address("")
Script = Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(*pieces: bytes) -> Script:
    """Reads the request, answers with these bytes, closes."""

    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        seen.body = await read_body(seen, reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return script


def ok(body: bytes = b"ok") -> Script:
    return says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def read_body(seen: Seen, reader: asyncio.StreamReader) -> bytes:
    if length := seen.value("content-length"):
        return await reader.readexactly(int(length))
    if seen.value("transfer-encoding") != "chunked":
        return b""
    body = b""
    while size := int(re.match(rb"[0-9a-f]+", await reader.readuntil(b"\r\n"))[0], 16):  # type: ignore[index]
        body += (await reader.readexactly(size + 2))[:-2]
    assert await reader.readexactly(2) == b"\r\n"
    return body


@dataclass
class Origin:
    script: Script = field(default_factory=ok)
    address: Address = NOWHERE
    seen: list[Seen] = field(default_factory=list)
    stray: list[bytes] = field(default_factory=list)  # bytes behind a request
    dropped: asyncio.Event = field(default_factory=asyncio.Event)  # a connection ended
    server: asyncio.Server | None = None

    @property
    def only(self) -> Seen:
        assert len(self.seen) == 1, [one.line for one in self.seen]
        return self.seen[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            seen = Seen(head)
            self.seen.append(seen)
            await self.script(seen, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.dropped.set()
            writer.close()

    async def shut(self) -> None:
        assert self.server is not None
        for listener in self.server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        for _ in range(5):  # Python 3.11 loses connections that it accepts while a server closes
            await asyncio.sleep(0)
        self.server.close()
        await self.server.wait_closed()


@asynccontextmanager
async def origin(script: Script | None = None, *, path: str = "") -> AsyncIterator[Origin]:
    """Listens on TCP, or on a socket at `path`."""
    found = Origin()
    if script is not None:
        found.script = script
    if path:
        found.server = await asyncio.start_unix_server(found.serve, path)
        found.address = Address(f"unix:{path}")
    else:
        found.server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
        port = found.server.sockets[0].getsockname()[1]
        found.address = Address(f"http://127.0.0.1:{port}")
    try:
        yield found
    finally:
        found.server.close()
