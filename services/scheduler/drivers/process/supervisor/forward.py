"""From the replica's socket to its server's port, byte for byte, in both directions.

Some servers answer one connection and exit. So a connection is only counted as theirs once they
have accepted it: nothing is read from the client before, and one that was still in the backlog
when its server ended goes to the server's next life, without a byte having been lost or sent
twice. A server that has accepted a second connection in one life is past that doubt.
"""

from __future__ import annotations

import asyncio
import select
import socket
import time
from typing import Any

from .listening import accepted

RETRY = 10.0  # seconds that a connection waits for a server between two lives
PAUSE = 0.01
HOSTS = ("127.0.0.1", "::1")
BACKLOG = 1024
BROKEN = select.POLLHUP | select.POLLERR


class Side(asyncio.Protocol):
    """One end; what comes in goes out at the `other`."""

    def __init__(self) -> None:
        self.other: Side | None = None
        self.transport: Any = None
        self.ended = False  # nothing more comes in
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is not None and not self.other.lost:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        other = self.other
        if other is None or other.lost:
            return False
        if other.ended:
            other.transport.close()
            return False
        other.transport.write_eof()
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        if self.other is not None and not self.other.lost:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.lost:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        other = self.other
        if other is not None and not other.lost:
            if error is None:
                other.transport.close()
            else:
                other.transport.abort()

    def hold(self) -> None:
        """Read nothing yet."""
        # not at once: Python 3.11.2 begins to read right after connection_made, paused or not
        asyncio.get_running_loop().call_soon(self.transport.pause_reading)


class Upstream(Side):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.hold()


class Client(Side):
    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self._forward = forward

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.hold()
        self._forward.begin(self)


class Forward:
    def __init__(self, port: int) -> None:
        self.port = port
        self.closed = False  # there will be no further life to wait for
        self._accepted = 0  # in this life, up to the second
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, listener: socket.socket) -> asyncio.AbstractServer:
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(lambda: Client(self), sock=listener, backlog=BACKLOG)

    def new_life(self) -> None:
        self._accepted = 0

    def begin(self, client: Client) -> None:
        task = asyncio.get_running_loop().create_task(self._join(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, client: Client) -> None:
        deadline = time.monotonic() + RETRY
        while not self.closed and time.monotonic() < deadline and not _left(client):
            upstream = await self._connect()
            if upstream is not None and await self._taken(upstream, client):
                upstream.other, client.other = client, upstream
                upstream.transport.resume_reading()
                client.transport.resume_reading()
                return
            await asyncio.sleep(PAUSE)
        client.transport.abort()

    async def _connect(self) -> Upstream | None:
        loop = asyncio.get_running_loop()
        for host in HOSTS:
            try:
                _, upstream = await loop.create_connection(Upstream, host, self.port)
            except OSError:
                continue
            return upstream
        return None

    async def _taken(self, upstream: Upstream, client: Client) -> bool:
        """Wait until the server has accepted; False when it ended, or the client left, before."""
        if self._accepted >= 2:
            return True
        source = upstream.transport.get_extra_info("sockname")[1]
        pause = 0.0005
        while not accepted(self.port, source):
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)
            seen = _polled(upstream, select.POLLIN | select.POLLRDHUP)
            if seen & BROKEN or _left(client):
                upstream.transport.abort()
                return False
            if seen:  # it spoke, or closed politely: the backlog does neither
                break
        self._accepted += 1
        return True


def _polled(side: Side, events: int) -> int:
    if side.lost:
        return BROKEN
    poll = select.poll()
    poll.register(side.transport.get_extra_info("socket").fileno(), events)
    return sum(event for _, event in poll.poll(0))


def _left(client: Client) -> bool:
    """Whether the client has hung up; nothing is read from it to find out."""
    return bool(_polled(client, 0) & BROKEN)
