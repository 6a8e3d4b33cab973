"""A TCP proxy that can cut, stall and refuse: what networks do to connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    def __init__(self, host: str, port: int) -> None:
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
            far_reader, far_writer = await asyncio.open_connection(*self._target)
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


@asynccontextmanager
async def proxy(host: str, port: int) -> AsyncIterator[Proxy]:
    """A proxy on a port of its own of 127.0.0.1."""
    between = Proxy(host, port)
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
