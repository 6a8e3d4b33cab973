"""A TCP proxy that can cut, stall and refuse: what networks do to connections."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

P = TypeVar("P", bound="Proxy")


class Proxy:
    def __init__(self, host: str, port: int = 0) -> None:
        """`host` may be the path of a socket."""
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = {"there": asyncio.Event(), "back": asyncio.Event()}
        self.refusing = False
        self.port = 0
        self.accepted = 0
        self.flow()

    def stall(self, *ways: str) -> None:
        """Swallow what goes `there` and `back` (both, if not said), and close nothing."""
        for way in ways or ("there", "back"):
            self._flows[way].clear()

    def flow(self) -> None:
        for flows in self._flows.values():
            flows.set()

    def cut(self) -> None:
        """End every connection at once, as a machine does that goes away."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await self._open()
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._writers |= pair
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, far_writer, "there"))
                group.create_task(self._copy(far_reader, writer, "back"))
        finally:
            self._writers -= pair
            for end in pair:
                end.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._target
        if host.startswith("/"):
            return await asyncio.open_unix_connection(Path(host))
        return await asyncio.open_connection(host, port)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                if not self._flows[way].is_set():
                    continue
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()


class Far(Proxy):
    """One to a place that is far away: every piece comes `late` seconds late, and one in `lost` has
    to be sent again, which holds up all behind it for `again` seconds."""

    def __init__(
        self, host: str, port: int = 0, *, late: float, lost: int = 20, again: float = 0.3
    ) -> None:
        super().__init__(host, port)
        self._late, self._lost, self._again = late, lost, again
        self._chance = random.Random(5)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str
    ) -> None:
        sent: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._leave(reader, sent))
            group.create_task(self._arrive(sent, writer))

    async def _leave(
        self, reader: asyncio.StreamReader, sent: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        clock = asyncio.get_running_loop().time
        chunk = b"more"
        while chunk:
            try:
                chunk = await reader.read(65536)
            except OSError:
                chunk = b""
            resent = self._again if self._chance.randrange(self._lost) == 0 else 0.0
            sent.put_nowait((clock() + self._late + resent, chunk))

    async def _arrive(
        self, sent: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        clock = asyncio.get_running_loop().time
        with suppress(OSError):
            while True:
                due, chunk = await sent.get()
                await asyncio.sleep(due - clock())
                if not chunk:
                    break
                writer.write(chunk)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxy(host: str, port: int) -> AsyncIterator[Proxy]:
    """A proxy on a port of its own of 127.0.0.1."""
    async with opened(Proxy(host, port)) as between:
        yield between


@asynccontextmanager
async def opened(between: P) -> AsyncIterator[P]:
    """The same of any kind."""
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            await between.serve(reader, writer)
        finally:
            handlers.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    between.port = server.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        server.close()
        between.cut()
        if handlers:
            await asyncio.wait(handlers)
        await server.wait_closed()
