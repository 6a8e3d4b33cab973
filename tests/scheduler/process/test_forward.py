"""The way from a replica's socket to its server's port."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.scheduler.drivers.process.supervisor import forward
from services.scheduler.drivers.process.supervisor.forward import Forward
from tests.ports import free_port

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Way:
    """A forward whose server the test itself plays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.forward = Forward(free_port())
        self.door: socket.socket | None = None

    def listen(self, backlog: int = 5) -> None:
        self.door = socket.socket()
        self.door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.door.bind(("127.0.0.1", self.forward.port))
        self.door.listen(backlog)
        self.door.setblocking(False)

    async def accept(self) -> Ends:
        assert self.door is not None
        connection, _ = await asyncio.get_running_loop().sock_accept(self.door)
        return await asyncio.open_connection(sock=connection)

    def end(self) -> None:
        """A life of the server is over."""
        assert self.door is not None
        self.door.close()
        self.forward.new_life()

    async def client(self) -> Ends:
        return await asyncio.open_unix_connection(self.path)


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    path = tmp_path / "in.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.setblocking(False)
    way = Way(path)
    server = await way.forward.open(listener)
    async with asyncio.timeout(20):
        yield way
    server.close()
    if way.door is not None:
        way.door.close()


async def test_each_end_may_finish_before_the_other(way: Way) -> None:
    way.listen()
    reader, writer = await way.client()
    writer.write(b"question")
    writer.write_eof()
    theirs, answer = await way.accept()
    assert await theirs.read() == b"question"
    answer.write(b"answer")
    answer.close()
    assert await reader.read() == b"answer"
    writer.close()


async def test_a_server_may_speak_first(way: Way) -> None:
    way.listen()
    reader, writer = await way.client()
    _, answer = await way.accept()
    answer.write(b"welcome")
    assert await reader.readexactly(7) == b"welcome"
    answer.close()
    writer.close()


async def test_who_comes_before_the_server_waits_for_it(way: Way) -> None:
    reader, writer = await way.client()
    writer.write(b"early")
    way.listen()
    theirs, answer = await way.accept()
    assert await theirs.readexactly(5) == b"early"
    answer.close()
    assert await reader.read() == b""
    writer.close()


async def test_who_was_never_accepted_goes_to_the_next_life(way: Way) -> None:
    way.listen()
    reader, writer = await way.client()
    writer.write(b"patient")
    assert way.door is not None
    while not select.select([way.door], [], [], 0)[0]:
        await asyncio.sleep(0)
    way.end()
    way.listen()
    theirs, answer = await way.accept()
    assert await theirs.readexactly(7) == b"patient"
    answer.close()
    assert await reader.read() == b""
    writer.close()


async def test_who_was_accepted_is_never_sent_twice(way: Way) -> None:
    way.listen()
    reader, writer = await way.client()
    writer.write(b"once")
    theirs, answer = await way.accept()
    assert await theirs.readexactly(4) == b"once"
    answer.transport.abort()
    way.end()
    way.listen()
    assert await reader.read() == b""
    writer.close()
    assert way.door is not None
    with pytest.raises(BlockingIOError):
        way.door.accept()


async def test_a_client_that_left_takes_no_life_of_the_server(way: Way) -> None:
    _, writer = await way.client()
    writer.close()
    await writer.wait_closed()
    reader, writer = await way.client()
    writer.write(b"second")
    way.listen()
    theirs, answer = await way.accept()
    assert await theirs.readexactly(6) == b"second"
    answer.close()
    assert await reader.read() == b""
    writer.close()


async def test_nobody_waits_for_ever(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "RETRY", 0.05)
    reader, writer = await way.client()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()


async def test_nobody_waits_for_a_server_that_never_comes(way: Way) -> None:
    way.forward.closed = True
    reader, writer = await way.client()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()


async def test_a_slow_reader_slows_the_sender(way: Way) -> None:
    way.listen()
    reader, writer = await way.client()
    _, answer = await way.accept()
    answer.write(b"x" * (32 << 20))
    drained = asyncio.create_task(answer.drain())
    await reader.readexactly(1)
    assert not drained.done()
    await reader.readexactly((32 << 20) - 1)
    await drained
    answer.close()
    writer.close()
