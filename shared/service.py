"""One way to start a service as a process of its own: read, open, compose, run, drain."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

import msgspec
import uvloop

from shared import garbage, log
from shared.blobs import Blobs
from shared.bus import Bus
from shared.bus.amqp import open_amqp
from shared.config import Config, Misconfigured, read
from shared.database.migrate import migrate
from shared.database.pool import Database
from shared.outbox import relay
from shared.run import Loop, run
from shared.telemetry import FloorTelemetry
from shared.watchdog import watchdog


class Floor(msgspec.Struct, frozen=True):
    """What every service stands on."""

    database: Database
    bus: Bus
    blobs: Blobs
    telemetry: FloorTelemetry = msgspec.field(default_factory=FloorTelemetry)


C = TypeVar("C", bound=Config)
Compose = Callable[[C, Floor], AbstractAsyncContextManager[Sequence[Loop]]]
"""A service's parts, wired: yields its loops, and closes what they used when they have ended."""


async def serve(config: C, compose: Compose[C]) -> None:
    async with AsyncExitStack() as stack:  # closed in the reverse order
        database = await stack.enter_async_context(Database.open(config.database_url))
        await migrate(database)
        telemetry = FloorTelemetry()
        bus = await stack.enter_async_context(open_amqp(config.amqp_url, telemetry=telemetry))
        floor = Floor(database, bus, Blobs.open(config.blobs_url), telemetry)
        loops = await stack.enter_async_context(compose(config, floor))
        outbox = relay(config.database_url, database, bus, telemetry=telemetry)
        await run(outbox, watchdog(telemetry), *loops, grace=config.grace)


def main(kind: type[C], compose: Compose[C]) -> None:
    """Run one service until SIGTERM or SIGINT. Exits with 2 when it is misconfigured."""
    log.configure(os.environ.get("LOG_LEVEL", "INFO"))
    try:
        config = read(kind, os.environ)
        if not config.amqp_url:
            raise Misconfigured("configuration: AMQP_URL is missing; a lone service needs a broker")
    except Misconfigured as error:
        logging.getLogger(__name__).error("%s", error)
        raise
    garbage.settle()
    uvloop.run(serve(config, compose))
