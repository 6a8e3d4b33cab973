"""How a call that can't be answered ends: gRPC's status, a text, and when to try again."""

from __future__ import annotations

from typing import Final

from services.router.gateway.errors import GatewayError
from shared.unary.codes import Code
from shared.unary.serving import Refused

LONGEST: Final = 2000  # characters of a text


def ending(error: GatewayError) -> Refused:
    text = error.information
    return Refused(
        Code(error.grpc),
        text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…",
        again(error.retry_after),
    )


def again(seconds: int | None) -> tuple[tuple[str, str], ...]:
    """What gRPC's own retries go by, and what people know from HTTP."""
    if seconds is None:
        return ()
    return (("grpc-retry-pushback-ms", str(1000 * seconds)), ("retry-after", str(seconds)))
