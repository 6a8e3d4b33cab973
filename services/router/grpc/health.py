"""`grpc.health.v1.Health`, as far as probes ask: written by hand, since its two messages are a name
and a number. Watch is not offered; those who would use it take that for healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from google.protobuf.empty_pb2 import Empty

from services.router.gateway.errors import GatewayError, Kind
from services.router.grpc.call import Calls, Service, service

SERVICE: Final = "grpc.health.v1.Health"
SERVING: Final = b"\x08\x01"
NOT_SERVING: Final = b"\x08\x02"


def health(services: Collection[str], ready: Callable[[], str | None], calls: Calls) -> Service:
    """`ready` says why nothing can be answered now, or None."""

    async def check(asked: bytes, deadline: float | None) -> bytes:
        name = _name(asked)
        if name and name not in services:
            raise GatewayError(Kind.NOT_FOUND, f"There is no service '{name[:100]}'")
        return NOT_SERVING if ready() else SERVING

    return service(SERVICE, {"Check": calls.raw(Empty, check)})


def _name(asked: bytes) -> str:
    """Of HealthCheckRequest: field 1, a string of less than 128 bytes."""
    if not asked:
        return ""
    if len(asked) < 2 or asked[0] != 0x0A or asked[1] != len(asked) - 2:
        raise GatewayError(Kind.BAD_REQUEST, "This is not a serialized HealthCheckRequest")
    return asked[2:].decode(errors="replace")
