"""The API in a process of its own, as an operator runs several of them, on a bus that ends with it.

    python -m benchmarks.scheduler.serving PORT [RELAY]

The rest it reads from the environment, as the service does. With RELAY it also announces what is
written, as one of all services' processes does at a time. It prints the seconds of processor time
that it had when it is told to stop.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import AsyncExitStack

import uvloop

import services.api.main as api
from shared import garbage, log
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.config import read
from shared.database.pool import Database
from shared.outbox import relay
from shared.run import Loop, run
from shared.service import Floor
from shared.telemetry import FloorTelemetry


async def serve(port: int, announces: bool) -> None:
    config = read(api.Config, {**os.environ, "API_PORT": str(port)})
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(config.database_url))
        telemetry = FloorTelemetry()
        bus = LocalBus(telemetry=telemetry)
        floor = Floor(database, bus, Blobs.open(config.blobs_url), telemetry)
        loops: list[Loop] = [*await stack.enter_async_context(api.compose(config, floor))]
        if announces:
            loops.append(relay(config.database_url, database, bus, telemetry=telemetry))
        began = time.process_time()
        await run(*loops, grace=2.0)
    print(time.process_time() - began)


if __name__ == "__main__":
    log.configure("WARNING")
    garbage.settle()
    uvloop.run(serve(int(sys.argv[1]), "RELAY" in sys.argv[2:]))
