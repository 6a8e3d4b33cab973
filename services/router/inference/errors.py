"""What the Open Inference Protocol says when it can't answer: `{"error": text}` over HTTP."""

from __future__ import annotations

import msgspec

from services.router.gateway.errors import GatewayError, Kind, unavailable
from services.router.gateway.targets import Target


def bad(reason: str) -> GatewayError:
    """The client's own mistake."""
    return GatewayError(Kind.BAD_REQUEST, reason)


def not_yet(target: Target) -> GatewayError:
    return unavailable(f"{target.name} can't answer yet: {target.reason}", 2)


def envelope(error: GatewayError) -> bytes:
    return msgspec.json.encode({"error": error.information})
