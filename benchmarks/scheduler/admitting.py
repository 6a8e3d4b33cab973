"""The scheduler's part that admits, alone in a process of its own, for as long as it is told.

    python -m benchmarks.scheduler.admitting DATABASE_URL SECONDS

Prints what it did as a line of JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from benchmarks.scheduler.world import TARGET
from services.scheduler.admission import Admission
from services.scheduler.epoch import Epoch
from services.scheduler.metrics import Metrics
from services.scheduler.queue.values import Policy
from services.scheduler.store import Store
from shared import garbage
from shared.database.pool import Database
from shared.telemetry import Telemetry


class Told(msgspec.Struct, kw_only=True):
    seconds: float
    admitted: int
    first: float  # seconds from its start to its first admission
    looks: list[float]  # seconds of each reading of the tables
    decisions: list[float]  # ... and of each decision
    memory: int  # bytes that it held at most
    processor: float  # seconds of processor time


class Watched(Metrics):
    def __init__(self) -> None:
        super().__init__(Telemetry())
        self.took: list[float] = []

    def decided(self, seconds: float) -> None:
        super().decided(seconds)
        self.took.append(seconds)


async def admit(url: str, seconds: float) -> Told:
    began = time.perf_counter()
    admitted, first, looks, metrics = 0, 0.0, [], Watched()
    async with Database.open(url) as database:
        epoch = Epoch(TARGET)
        store = Store(database, TARGET, epoch)
        admission = Admission(database, store, epoch, metrics, Policy())
        until = time.perf_counter() + seconds
        while (now := time.perf_counter()) < until:
            await admission.meet([])
            look = time.perf_counter()
            snapshot = await store.snapshot()
            looks.append(time.perf_counter() - look)
            done = await admission.admit(snapshot)
            await store.explain(done.lines)
            if done.started and not admitted:
                first = time.perf_counter() - began
            admitted += len(done.started)
            if not done.started:
                await asyncio.sleep(0.005)
        took = now - until + seconds
    return Told(
        seconds=took,
        admitted=admitted,
        first=first,
        looks=looks,
        decisions=metrics.took,
        memory=_peak(),
        processor=time.process_time(),
    )


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    garbage.settle()
    told = uvloop.run(admit(sys.argv[1], float(sys.argv[2])))
    print(msgspec.json.encode(told).decode())
