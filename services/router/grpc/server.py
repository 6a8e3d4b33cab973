"""The router's gRPC port: what is served there, and how it opens and closes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from services.router.gateway.gateway import Gateway
from services.router.gateway.intake import Intake
from services.router.grpc import health, inference, prediction
from services.router.grpc.call import Calls, Service
from shared.run import Loop
from shared.unary.serving import Limits, Server

__all__ = ["Limits", "serve", "services"]


def services(
    gateway: Gateway, ready: Callable[[], str | None], intake: Intake
) -> tuple[Service, ...]:
    """All that is served: `ready` says why nothing can be answered now, or None."""
    calls = Calls(intake)
    known = (prediction.SERVICE, inference.SERVICE)
    return (
        prediction.prediction(gateway, calls),
        inference.inference(gateway, ready, calls),
        health.health(known, ready, calls),
    )


def serve(
    handlers: Sequence[Service],
    *,
    host: str,
    port: int,
    limits: Limits | None = None,
    linger: float = 0.0,
    grace: float = 10.0,
    opened: Callable[[int], None] = lambda port: None,
) -> Loop:
    """A loop that serves `handlers`; `port` 0 is any, and `opened` is told which.

    Told to stop, it goes on serving for `linger` seconds; then connections are told to go
    elsewhere, and calls in hand have `grace` seconds.
    """
    methods = {path: method for each in handlers for path, method in each.items()}

    async def loop(stopping: asyncio.Event) -> None:
        server = Server(methods, limits)
        opened(server.start(host, port))
        try:
            await stopping.wait()
            await asyncio.sleep(linger)
        finally:
            await server.stop(grace)

    return loop
