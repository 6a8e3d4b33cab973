"""One call, from its bytes to its answer's: whatever a client sends, it ends in an answer, or in a
status with a reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from services.router.gateway import pieces
from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.intake import Intake
from services.router.grpc.ending import ending
from shared.unary.serving import Method as Served
from shared.unary.serving import Methods

Asked = TypeVar("Asked", bound=Message)

Behaviour = Callable[[Asked, float | None], Awaitable[Message]]
"""Answers a message until a moment of time.monotonic(), if there is one. Raises GatewayError."""

Raw = Callable[[bytes, float | None], Awaitable[bytes]]
"""As a Behaviour, with messages as they are on the wire."""

Service = Methods


class Method:
    """What `behaviour` answers to messages of a kind, which count as in hand at `intake`."""

    def __init__(self, kind: type[Message], behaviour: Raw, intake: Intake) -> None:
        self._kind = kind
        self._behaviour = behaviour
        self._intake = intake
        self.free = intake.free

    def hold(self, more: int, mine: int) -> None:
        try:
            self._intake.hold(more, mine)
        except GatewayError as error:
            raise ending(error) from error

    async def answer(self, message: bytes, deadline: float | None) -> bytes:
        try:
            if not await pieces.few(message, self._kind):
                text = f"The message has more than the {pieces.MOST} pieces allowed"
                raise GatewayError(Kind.TOO_LARGE, text)
            return await self._behaviour(message, deadline)
        except GatewayError as error:
            raise ending(error) from error


class Calls:
    """Makes methods whose messages count as in hand at `intake`."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def method(self, kind: type[Asked], behaviour: Behaviour[Asked]) -> Served:
        async def answer(data: bytes, deadline: float | None) -> bytes:
            return (await behaviour(_read(kind, data), deadline)).SerializeToString()

        return self.raw(kind, answer)

    def raw(self, kind: type[Message], behaviour: Raw) -> Served:
        """As `method`, with messages as they are on the wire."""
        return Method(kind, behaviour, self._intake)


def service(name: str, methods: Mapping[str, Served]) -> Service:
    return {f"/{name}/{method}".encode(): served for method, served in methods.items()}


def _read(kind: type[Asked], data: bytes) -> Asked:
    try:
        return kind.FromString(data)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise GatewayError(Kind.BAD_REQUEST, f"This is not a serialized {name}") from None
