"""The scheduler as a process of its own: `python -m benchmarks.kubernetes.driven`.

It is the service as it is but for one probe, on a bus that reaches nobody else. For each line that
it reads it writes one: what it asked of the cluster until then, and the memory that it takes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import uvloop

import services.scheduler.main as scheduler
from benchmarks.kubernetes.told import Told
from services.scheduler.drivers.kubernetes.walls import Walls
from services.scheduler.drivers.kubernetes.wire import Wire
from shared import log
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.config import read
from shared.database.pool import Database
from shared.outbox import relay
from shared.run import run
from shared.service import Floor

wires: list[Wire] = []


def _count() -> None:
    """Know of each way to a cluster that is opened."""
    begin = Wire.__init__

    def known(self: Wire, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        wires.append(self)

    Wire.__init__ = known  # type: ignore[method-assign]


def _trust_walls() -> None:
    """No pod of ours runs, so none can try whether network policies are enforced."""

    async def standing(self: Walls) -> bool:
        return True

    Walls._probe = standing  # type: ignore[method-assign]


def told() -> Told:
    calls: dict[str, int] = {}
    failed: dict[str, int] = {}
    for wire in wires:
        for (verb, kind), count in wire.calls.items():
            calls[f"{verb} {kind}"] = calls.get(f"{verb} {kind}", 0) + count
        for error, count in wire.failed.items():
            failed[error] = failed.get(error, 0) + count
    status = Path("/proc/self/status").read_text().splitlines()
    size = {line.split(":")[0]: line.split(":")[1].split()[0] for line in status if "kB" in line}
    return Told(
        calls=calls,
        failed=failed,
        memory=int(size["VmRSS"]) << 10,
        peak=int(size["VmHWM"]) << 10,
    )


async def answer(stopping: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    over = loop.create_task(stopping.wait())
    while True:
        line = loop.create_task(reader.readline())
        await asyncio.wait((line, over), return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            line.cancel()
            return
        if not line.result():
            raise RuntimeError("whoever asked is gone")
        print(msgspec.json.encode(told()).decode(), flush=True)


async def serve() -> None:
    config = read(scheduler.Config, os.environ)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(config.database_url))
        bus = LocalBus()
        floor = Floor(database, bus, Blobs.open(config.blobs_url))
        loops = await stack.enter_async_context(scheduler.compose(config, floor))
        await run(relay(config.database_url, database, bus), answer, *loops)


if __name__ == "__main__":
    log.configure(os.environ.get("LOG_LEVEL", "WARNING"))
    _count()
    _trust_walls()
    uvloop.run(serve())
