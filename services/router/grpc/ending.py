"""How a call that can't be answered ends: gRPC's status, a text, and when to try again."""

from __future__ import annotations

from typing import Final

import grpc
import msgspec

from services.router.gateway.errors import GatewayError

CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
LONGEST: Final = 2000  # characters: a client takes 8 KiB of everything that is said at the end


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    code: grpc.StatusCode
    text: str
    metadata: tuple[tuple[str, str], ...] = ()


def ending(error: GatewayError) -> Ending:
    text = error.information
    return Ending(
        code=CODES[error.grpc],
        text=text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…",
        metadata=again(error.retry_after),
    )


def again(seconds: int | None) -> tuple[tuple[str, str], ...]:
    """What gRPC's own retries go by, and what people know from HTTP."""
    if seconds is None:
        return ()
    return (("grpc-retry-pushback-ms", str(1000 * seconds)), ("retry-after", str(seconds)))
