"""One call, from its bytes to its answer's: whatever a client sends, it ends in an answer, or in a
status with a reason.

A call is served as one whose client may stream, though it sends one message: so it is we who wait
for that message, and for no longer than is decent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from services.router.gateway import pieces
from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.intake import Intake
from services.router.grpc.ending import ending

log = logging.getLogger(__name__)

SLOWEST: Final = 30.0  # seconds for a client to send its message

Asked = TypeVar("Asked", bound=Message)

Behaviour = Callable[[Asked, float | None], Awaitable[Message]]
"""Answers a message until a moment of time.monotonic(), if there is one. Raises GatewayError."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Method: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Service: TypeAlias = grpc.GenericRpcHandler


class Calls:
    """Makes methods whose messages count as in hand at `intake`."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def method(self, kind: type[Asked], behaviour: Behaviour[Asked]) -> Method:
        async def answer(data: bytes, deadline: float | None) -> bytes:
            return (await behaviour(_read(kind, data), deadline)).SerializeToString()

        return self.raw(kind, answer)

    def raw(
        self,
        kind: type[Message],
        behaviour: Callable[[bytes, float | None], Awaitable[bytes]],
    ) -> Method:
        """As `method`, with messages as they are on the wire."""

        async def handle(_: AsyncIterator[bytes], context: Context) -> bytes:
            try:
                left = context.time_remaining()
                deadline = None if left is None else time.monotonic() + left
                data = await _message(context, left)
                with self._intake.held(len(data)):
                    if not await pieces.few(data, kind):
                        text = f"The message has more than the {pieces.MOST} pieces allowed"
                        raise GatewayError(Kind.TOO_LARGE, text)
                    return await behaviour(data, deadline)
            except GatewayError as error:
                return await _end(context, error)
            except Exception:
                log.exception("a call failed")
                return await _end(context, GatewayError(Kind.UNCAUGHT, "Something went wrong here"))

        return grpc.stream_unary_rpc_method_handler(handle)


async def _end(context: Context, error: GatewayError) -> NoReturn:
    how = ending(error)
    await context.abort(how.code, how.text, how.metadata)


def service(name: str, methods: Mapping[str, Method]) -> Service:
    return grpc.method_handlers_generic_handler(name, dict(methods))


async def _message(context: Context, left: float | None) -> bytes:
    try:
        async with asyncio.timeout(SLOWEST if left is None else min(left, SLOWEST)):
            data = await context.read()
    except TimeoutError:
        raise GatewayError(Kind.DEADLINE, "The request does not come") from None
    if not isinstance(data, bytes):
        raise GatewayError(Kind.BAD_REQUEST, "There is no message in this call")
    return data


def _read(kind: type[Asked], data: bytes) -> Asked:
    try:
        return kind.FromString(data)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise GatewayError(Kind.BAD_REQUEST, f"This is not a serialized {name}") from None
