"""One request to one backend: the seam behind which the data path may change.

`Exchange` is the port; `Proxy` keeps it with a connection per request. Bodies stream both ways at
once and are never gathered. A request is sent a second time only when that can do no harm: when
nobody took the connection, or when it has no body, its method promises to change nothing, and the
connection ended before a byte of an answer; and then only once, and only as long as the budget
lasts, so that retries can't multiply a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, Protocol

import msgspec

from services.router.upstream import Connection, Failed, Head, Trouble
from services.router.vet import CHUNKED, Header
from shared.address import Address

SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})
CONNECT: Final = 5.0  # seconds for a connection
PAUSE: Final = 0.05  # seconds between the first two tries at a door that is shut; then doubled


class Backend(msgspec.Struct, frozen=True):
    address: Address
    silence: float  # seconds between two signs of life, before we give up
    patience: float = 0.0  # seconds to knock at a door that is shut: a server between two lives


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    method: bytes
    target: bytes
    headers: Sequence[Header]  # framing included
    length: int | None = None  # of the body; CHUNKED; None: no body
    body: AsyncIterator[bytes] | None = None


class Answer:
    """`body` raises Failed when it is cut short. For 101, `connection` is what is left to use."""

    def __init__(self, head: Head, body: AsyncIterator[bytes], connection: Connection) -> None:
        self.head = head
        self.body = body
        self.connection = connection


class Exchange(Protocol):
    def __call__(self, request: Outgoing, backend: Backend) -> AbstractAsyncContextManager[Answer]:
        """The answer, once its head is here. Leaving ends the exchange, finished or not.

        Raises Failed when there is no answer, and whatever `request.body` raises.
        """


class Budget:
    """Retries for one in ten requests, and a few for a quiet time."""

    def __init__(self, share: float = 0.1, reserve: float = 10.0) -> None:
        self._share = share
        self._reserve = reserve
        self._left = reserve

    def earn(self) -> None:
        self._left = min(self._reserve, self._left + self._share)

    def spend(self) -> bool:
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Proxy:
    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget()

    @asynccontextmanager
    async def __call__(self, request: Outgoing, backend: Backend) -> AsyncIterator[Answer]:
        self._budget.earn()
        connection = await self._connect(backend)
        sender: asyncio.Task[None] | None = None
        try:
            try:
                sender, head = await _ask(connection, request, backend)
            except Failed as failed:
                if not self._again(request, failed):
                    raise
                connection.close()
                connection = await self._connect(backend)
                sender, head = await _ask(connection, request, backend)
            yield Answer(head, connection.body(head, backend.silence), connection)
        finally:
            connection.close()
            await _end(sender)

    def _again(self, request: Outgoing, failed: Failed) -> bool:
        safe = request.method in SAFE and request.length is None
        return safe and failed.trouble is Trouble.DROPPED and self._budget.spend()

    async def _connect(self, backend: Backend) -> Connection:
        """A connection. A door that is shut is knocked at again while there is patience."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + backend.patience, PAUSE
        while True:
            try:
                return await Connection.open(backend.address, min(CONNECT, backend.silence))
            except Failed as failed:
                if failed.trouble is not Trouble.REFUSED or loop.time() + pause > end:
                    raise
            await asyncio.sleep(pause)
            pause *= 2


async def _ask(
    connection: Connection, request: Outgoing, backend: Backend
) -> tuple[asyncio.Task[None] | None, Head]:
    """Send the request; its answer's head, and the task that may still be sending the body."""
    connection.send_head(request.method, request.target, request.headers)
    deadline = asyncio.timeout(backend.silence)
    sender: asyncio.Task[None] | None = None
    try:
        async with deadline:
            if request.body is None:
                return None, await connection.head(request.method)
            sender = asyncio.create_task(_send(connection, request, deadline, backend.silence))
            return sender, await _first(sender, connection, request)
    except BaseException as error:
        await _end(sender)
        if isinstance(error, TimeoutError):
            raise Failed(Trouble.SILENT, "It does not answer.") from error
        raise


async def _first(sender: asyncio.Task[None], connection: Connection, request: Outgoing) -> Head:
    """The answer's head, unless the client fails to send its body first."""
    head = asyncio.create_task(connection.head(request.method))
    try:
        await asyncio.wait([head, sender], return_when=asyncio.FIRST_COMPLETED)
        if sender.done() and not head.done():
            sender.result()
        return await head
    finally:
        await _end(head)


async def _send(
    connection: Connection, request: Outgoing, deadline: asyncio.Timeout, silence: float
) -> None:
    """Send the body. An endpoint may answer before it has read all, and stop reading."""
    assert request.body is not None
    loop = asyncio.get_running_loop()
    chunked = request.length == CHUNKED
    async for chunk in request.body:
        if not await _sent(connection, chunk, chunked):
            return
        with suppress(RuntimeError):  # the answer is here, so it counts no more
            deadline.reschedule(loop.time() + silence)
    if chunked:
        await _sent(connection, b"", chunked)


async def _sent(connection: Connection, chunk: bytes, chunked: bool) -> bool:
    try:
        await connection.send(chunk, chunked=chunked)
    except OSError:
        return False
    return True


async def _end(task: asyncio.Task[Any] | None) -> None:
    """Cancel and see off a task; what it failed with was dealt with where it mattered."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
