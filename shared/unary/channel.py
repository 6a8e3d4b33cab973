"""A connection to one copy, over which many calls go at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from shared.address import Address, unix_path
from shared.dial import Failed, Trouble, dial
from shared.unary.call import Call
from shared.unary.codes import Reset
from shared.unary.connection import Connection
from shared.unary.limits import Limits
from shared.unary.request import Metadata, block

FOREVER: Final = 1e7  # seconds that no call takes


class Channel:
    """`address` is where it leads. Made by `open`, and to be closed."""

    def __init__(self, connection: Connection, address: Address, limits: Limits) -> None:
        self.address = address
        self._connection = connection
        self._authority = authority(address)
        self._limits = limits
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(
        cls,
        address: Address,
        seconds: float,
        secrets: Sequence[str] = (),
        *,
        limits: Limits = Limits(),  # noqa: B008 (it can't be changed)
    ) -> Channel:
        """Connected to somebody who is who they should be, and speaks HTTP/2.

        Raises Failed, always a safe one: as `dial` does, and BAD, DROPPED or SILENT when whoever
        listens does not speak HTTP/2.
        """
        ends = asyncio.get_running_loop().time() + seconds
        _, connection = await dial(lambda: Connection(limits), address, seconds, secrets)
        try:
            async with asyncio.timeout_at(ends):
                await connection.ready
        except TimeoutError as error:
            connection.end(Reset.SETTINGS_TIMEOUT, Trouble.SILENT, "")
            raise Failed(Trouble.SILENT, "It does not speak HTTP/2.", safe=True) from error
        except BaseException:
            connection.end(Reset.CANCEL, Trouble.DROPPED, "")
            raise
        return cls(connection, address, limits)

    @property
    def inside(self) -> int:
        """Calls in hand, those that wait for their turn included."""
        return len(self._connection.calls)

    def usable(self) -> bool:
        """Whether it takes another call; once it doesn't, it never will again."""
        calls = self._connection.calls
        return not calls.closing and not calls.out.spent

    async def call(
        self, path: bytes, message: bytes, deadline: float, metadata: Metadata = ()
    ) -> bytes:
        """The one message of the answer. `deadline` is of time.monotonic().

        Raises Rejected when the answer is a status other than OK, and Failed when there is no
        answer that can be used; its `safe` says whether nothing was done for certain. Raises
        ValueError when `path`, `metadata` or `message` can't be sent. To be cancelled is to tell
        the server.
        """
        now = self._loop.time()
        if not self.usable():
            raise Failed(Trouble.REFUSED, "The connection takes no more calls.")
        if deadline <= now:
            raise Failed(Trouble.SILENT, "There was no time left for it.", safe=True)
        headers = block(self._authority, path, deadline - now, metadata)
        over: asyncio.Future[None] = self._loop.create_future()
        call = Call(headers, message, deadline, self._limits.message, over)
        at = min(deadline, now + FOREVER)
        timer = self._loop.call_at(at, self._connection.expire, call)
        try:
            self._connection.send(call)
            await over
        finally:
            timer.cancel()
            self._connection.drop(call)
        outcome, call.outcome = call.outcome, None
        if isinstance(outcome, bytes):
            return outcome
        assert outcome is not None
        try:
            raise outcome
        finally:
            del outcome  # or it would keep this frame, and that the messages

    def retire(self) -> None:
        """Take no more calls, and close once the last is over."""
        self._connection.retire()

    def close(self) -> None:
        """At once: calls in hand fail."""
        self._connection.end(Reset.NO_ERROR, Trouble.DROPPED, "The connection was closed.")


def authority(address: Address) -> bytes:
    return b"localhost" if unix_path(address) else urlsplit(address).netloc.encode()
