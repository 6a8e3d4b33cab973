"""Whole bodies of requests, with a limit to each and to all that are in hand at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from aiohttp import web

from services.router.body import Limits, Unfit, body
from services.router.gateway.errors import GatewayError, Kind, unavailable
from services.router.reply import Reply
from services.router.vet import Vetted

MIB: Final = 1 << 20


class Room(msgspec.Struct, frozen=True, kw_only=True):
    body: int = 512 * MIB  # bytes of one body
    bodies: int = 1024 * MIB  # of all that are being read or answered; one alone may be any size
    seconds: float = 300.0  # for which a body may be waited for

    @property
    def small(self) -> int:
        """Bytes of a body that there is room for when large ones have taken all the rest."""
        return self.bodies // 1024

    @property
    def spare(self) -> int:
        """Bytes beyond `bodies`, for small ones."""
        return self.bodies // 8


class Intake:
    def __init__(self, room: Room) -> None:
        self._room = room
        self._limits = Limits(size=room.body, longest=room.seconds)
        self._held = 0

    @property
    def held_bytes(self) -> int:
        """What is in hand now."""
        return self._held

    @asynccontextmanager
    async def whole(
        self, request: web.BaseRequest, vetted: Vetted, reply: Reply
    ) -> AsyncIterator[bytes]:
        """The body, which counts as in hand inside. Raises GatewayError."""
        if not vetted.length:
            raise GatewayError(Kind.BAD_REQUEST, "The request has no body.")
        if vetted.length > self._room.body:
            raise _too_large(self._room.body)
        # what was announced takes no room before it comes: announcing costs nothing
        held = min(vetted.length, MIB) if vetted.length > 0 else 0
        self.hold(held)
        try:
            chunks: list[bytes] = []
            size = 0
            async for chunk in self._chunks(request, vetted, reply):
                chunks.append(chunk)
                size += len(chunk)
                if size > self._room.body:
                    raise _too_large(self._room.body)
                if size > held:
                    more = max(size - held, MIB)
                    self.hold(more, held)
                    held += more
            yield chunks[0] if len(chunks) == 1 else b"".join(chunks)
        finally:
            self.free(held)

    def hold(self, more: int, mine: int = 0) -> None:
        """`more` bytes are about to be in hand, beside `mine` of the same message that are, until
        they are freed. Raises GatewayError."""
        small = mine + more <= self._room.small
        most = self._room.bodies + (self._room.spare if small else 0)
        if self._held > mine and self._held + more > most:
            raise unavailable("the gateway has no room for the body now")
        self._held += more

    def free(self, size: int) -> None:
        """So many bytes that were held are in hand no longer."""
        self._held -= size

    async def _chunks(
        self, request: web.BaseRequest, vetted: Vetted, reply: Reply
    ) -> AsyncIterator[bytes]:
        content = request.content
        if content.is_eof() and content.exception() is None:  # all of it came with the head
            yield content.read_nowait()
            return
        try:
            async for chunk in body(request, reply, self._limits, expected=vetted.expects):
                yield chunk
        except Unfit as unfit:
            if unfit.status == 413:
                raise _too_large(self._room.body) from unfit
            raise GatewayError(Kind.BAD_REQUEST, unfit.reason, status=unfit.status) from unfit


def _too_large(limit: int) -> GatewayError:
    return GatewayError(Kind.TOO_LARGE, f"The body is larger than the {limit} bytes allowed.")
