"""The router's gRPC port: what is served there, its limits, and how it opens and closes.

Limits are for clients that nobody knows: the size of a message, how many calls at once on the port
and on a connection, the size of what is said about a call, pings, and connections that nothing goes
through. Compressed messages are refused, since how large they will be is not known before they are
so.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final

import grpc
import msgspec

from services.router.gateway.gateway import Gateway
from services.router.gateway.intake import Intake
from services.router.grpc import health, inference, prediction
from services.router.grpc.call import Calls, Service
from shared.run import Loop

log = logging.getLogger(__name__)

MINUTE: Final = 60_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    message: int = 256 << 20  # bytes of a request, as much as runtimes take
    calls: int = 1024  # at once; one more is RESOURCE_EXHAUSTED
    streams: int = 256  # of them, on one connection; others wait
    metadata: int = 16 << 10  # bytes


def options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.message),
        ("grpc.max_send_message_length", -1),  # a model's answers are limited where they come from
        ("grpc.max_concurrent_streams", limits.streams),
        ("grpc.max_metadata_size", limits.metadata),
        ("grpc.absolute_max_metadata_size", limits.metadata),
        ("grpc.so_reuseport", 0),  # a port that somebody else has is an error
        ("grpc.compression_enabled_algorithms_bitset", 1),  # none but identity
        # a client that is gone, or does nothing, is let go
        ("grpc.keepalive_time_ms", MINUTE),
        ("grpc.keepalive_timeout_ms", MINUTE // 3),
        ("grpc.max_connection_idle_ms", 15 * MINUTE),
        # one that pings too often is shown out
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", MINUTE // 6),
        ("grpc.http2.max_ping_strikes", 3),
        ("grpc.server_handshake_timeout_ms", MINUTE // 6),
    ]


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
    within = limits or Limits()

    async def loop(stopping: asyncio.Event) -> None:
        server = grpc.aio.server(
            handlers=handlers, options=options(within), maximum_concurrent_rpcs=within.calls
        )
        opened(_bind(server, host, port))
        await server.start()
        try:
            await stopping.wait()
            await asyncio.sleep(linger)
        finally:
            await server.stop(grace)

    return loop


def _bind(server: grpc.aio.Server, host: str, port: int) -> int:
    """Raises OSError, as a socket would."""
    name = f"[{host}]" if ":" in host else host
    try:
        return server.add_insecure_port(f"{name}:{port}")
    except RuntimeError as error:
        raise _why(host, port) from error


def _why(host: str, port: int) -> OSError:
    """gRPC does not say why it can't listen, so a socket of ours tries."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return error
    return OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))  # until just now
