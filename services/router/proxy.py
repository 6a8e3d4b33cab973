"""One request to one of the copies of a backend: the seam behind which the data path may change.

`Exchange` is the port; `Proxy` keeps it with a connection per request. Bodies stream both ways at
once and are never gathered. Before anything has been sent, every copy may be knocked at. A request
is sent a second time only when that can do no harm: when it has no body, its method promises to
change nothing, and the connection ended before a byte of an answer; and then only once, and only as
long as the budget lasts, so that retries can't multiply a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, Protocol

import msgspec

from services.router.copies import Copies, Copy
from services.router.upstream import Connection, Head
from services.router.vet import CHUNKED, Header
from shared.address import has_doorman
from shared.dial import Failed, Trouble

SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})
CONNECT: Final = 5.0  # seconds for a connection ...
BRIEF: Final = 1.5  # ... and for one that others can take the place of
PAUSE: Final = 0.05  # seconds between the first two tries at a door that is shut; then doubled


class Backend(msgspec.Struct, frozen=True):
    copies: Copies
    silence: float  # seconds between two signs of life, before we give up
    patience: float = 0.0  # seconds to knock at the only door: a server between two lives


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
        copy, connection = await _reach(backend)
        copy.inside += 1
        sender: asyncio.Task[None] | None = None
        try:
            try:
                sender, head = await _ask(connection, request, backend)
            except Failed as failed:
                if not self._again(request, failed):
                    raise
                connection.close()
                try:
                    other, connection = await _reach(backend, copy)
                except Failed:  # so what became of the request is told
                    raise failed from None
                copy.inside -= 1
                copy = other
                copy.inside += 1
                sender, head = await _ask(connection, request, backend)
            yield Answer(head, connection.body(head, backend.silence), connection)
        finally:
            copy.inside -= 1
            connection.close()
            await _end(sender)

    def _again(self, request: Outgoing, failed: Failed) -> bool:
        safe = request.method in SAFE and request.length is None
        return safe and failed.trouble is Trouble.DROPPED and self._budget.spend()


async def _reach(backend: Backend, dropped: Copy | None = None) -> tuple[Copy, Connection]:
    """A copy, and a connection to it. Each is knocked at once, `dropped` only if it is alone. At
    the only one it is knocked again while there is patience; who comes meanwhile is asked too."""
    copies, loop = backend.copies, asyncio.get_running_loop()
    began, pause = loop.time(), PAUSE
    tried = [dropped] if dropped is not None and len(copies) > 1 else []
    missed: Failed | None = None
    guarded = False
    while loop.time() < began + max(CONNECT, backend.patience):
        copy = copies.pick(tried)
        if copy is None:
            if len(copies) > 1 or missed is None or loop.time() + pause > began + backend.patience:
                break
            await asyncio.sleep(pause)
            pause *= 2
            tried.clear()
            continue
        seconds = CONNECT if len(tried) + 1 >= len(copies) else BRIEF
        copy.inside += 1  # else all who come now would knock at the same door
        try:
            connection = await Connection.open(
                copy.address, min(seconds, backend.silence), copies.secrets
            )
        except Failed as failed:
            copies.missed(copy, failed.detail)
            tried.append(copy)
            missed, guarded = failed, has_doorman(copy.address)
            if len(copies) == 1 and failed.trouble is not Trouble.REFUSED:
                break
        else:
            copies.reached(copy)
            return copy, connection
        finally:
            copy.inside -= 1
    if missed is None or guarded or len(copies) != 1:
        raise Failed(Trouble.AWAY, "None of its copies can be reached.") from missed
    raise missed


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
