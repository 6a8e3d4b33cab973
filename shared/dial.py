"""To a copy's address: TCP, a unix socket, or a doorman who proves first whose copy it is.

What the dialling, and the asking that comes after it, can fail with is here too, so that whoever
asks copies, in whichever protocol, tells the same troubles apart.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar, cast
from urllib.parse import urlsplit

from shared.address import Address, has_doorman, unix_path
from shared.doorman import NONCE, PROOF, proven
from shared.errors import Transient

P = TypeVar("P", bound=asyncio.Protocol)


class Trouble(StrEnum):
    REFUSED = "refused"  # nothing was sent, or at least nothing was done about it
    AWAY = "away"  # nothing was sent, and there is no address left to send it to
    DROPPED = "dropped"  # it closed before a byte of an answer
    BAD = "bad"  # what it sent is not an answer that we would pass on
    SILENT = "silent"  # it gave no sign of life in time


class Failed(Transient):
    """The endpoint did not do its part.

    `safe`: it has certainly done nothing about it, so that the same may be asked elsewhere.
    """

    def __init__(self, trouble: Trouble, detail: str, *, safe: bool | None = None) -> None:
        super().__init__(f"{trouble}: {detail}")
        self.trouble = trouble
        self.detail = detail
        self.safe = trouble in (Trouble.REFUSED, Trouble.AWAY) if safe is None else safe


async def dial(
    protocol: Callable[[], P], address: Address, seconds: float, secrets: Sequence[str] = ()
) -> tuple[asyncio.Transport, P]:
    """A connection over which nothing of ours has been sent yet, whose other end has proven itself.

    Raises Failed, always a safe one: REFUSED when nobody listens, or somebody who has none of
    `secrets`, though there is a doorman to be; SILENT when it takes too long; AWAY without
    `secrets`.
    """
    guarded = has_doorman(address)
    if guarded and not secrets:
        raise Failed(Trouble.AWAY, "DOORMAN_KEY is empty.")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            if path := unix_path(address):
                return cast(
                    tuple[asyncio.Transport, P], await loop.create_unix_connection(protocol, path)
                )
            where = urlsplit(address)
            host, port = where.hostname or "", where.port or 80
            if not guarded:
                return cast(
                    tuple[asyncio.Transport, P], await loop.create_connection(protocol, host, port)
                )
            transport, meeting = await loop.create_connection(
                lambda: _Meeting(protocol, secrets), host, port
            )
            return transport, cast(P, await meeting.over())
    except TimeoutError as error:
        raise Failed(Trouble.SILENT, "It does not take connections.", safe=True) from error
    except OSError as error:
        raise Failed(Trouble.REFUSED, "It refuses connections.") from error


class _Meeting(asyncio.Protocol):
    """The doorman proves himself, and the connection is handed to the protocol that is to have it;
    else it is closed."""

    def __init__(self, protocol: Callable[[], asyncio.Protocol], secrets: Sequence[str]) -> None:
        self._protocol = protocol
        self._secrets = secrets
        self._nonce = os.urandom(NONCE)
        self._heard = b""
        self._proven: asyncio.Future[asyncio.Protocol] = asyncio.get_running_loop().create_future()

    async def over(self) -> asyncio.Protocol:
        try:
            return await self._proven
        except BaseException:
            self._transport.abort()
            raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._nonce)

    def data_received(self, data: bytes) -> None:
        if self._proven.done():  # and it was not proven, or not in time
            return
        self._heard += data
        if len(self._heard) < PROOF:
            return
        given, rest = self._heard[:PROOF], self._heard[PROOF:]
        host, port = self._transport.get_extra_info("peername")[:2]
        if not proven(given, self._secrets, self._nonce, host, port):
            self._fail(Failed(Trouble.REFUSED, "Somebody else is at its address."))
            return
        protocol = self._protocol()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        self._proven.set_result(protocol)
        if rest:
            protocol.data_received(rest)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._proven.done():
            self._fail(error or Failed(Trouble.REFUSED, "Its doorman lets nobody in."))

    def _fail(self, error: Exception) -> None:
        self._proven.set_exception(error)
        self._proven.exception()  # nobody may be left who waits for it
