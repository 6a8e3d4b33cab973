"""Each figure of the gateway's beside its anchor: medians of rounds in which they take turns."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import NamedTuple

import numpy as np

from benchmarks.gateway import load
from benchmarks.gateway.clients import Ask, over_binary, over_grpc, over_http, p50
from benchmarks.gateway.models import CONTRACTS, FLOATS, document
from benchmarks.table import Figure
from services.router.gateway.mapping import to_tensors

ROUNDS = 5
SMALL, LARGE = 400, 40  # requests of a round
MOST = 1.0  # ms that the gateway may add to a request, and twice as much to two stages
LEAST = 3000  # requests of a core in a second
PARSED = 15.0  # ms for a tensor's JSON


Over = Callable[[int, str], AbstractContextManager[Ask]]


class Ports(NamedTuple):
    runtime: int
    http: int
    grpc: int
    pid: int  # the router's


async def measure(requests: int) -> list[Figure]:
    async with _processes() as ports:
        figures = await asyncio.to_thread(_added, ports)
        figures += await _rates(ports, requests)
    return [*figures, _parsed()]


@asynccontextmanager
async def _processes() -> AsyncIterator[Ports]:
    async with _process("runtime") as (_, runtime), _process("router", runtime) as (pid, said):
        http, grpc = map(int, said.split())
        yield Ports(int(runtime), http, grpc, pid)


@asynccontextmanager
async def _process(name: str, *arguments: str) -> AsyncIterator[tuple[int, str]]:
    """Its id, and the first line that it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"benchmarks.gateway.{name}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process.pid, (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


class Row(NamedTuple):
    what: str
    over: Over
    port: int
    model: str
    stages: int = 1
    more: float = 0.0  # ms that it may take beside

    def took(self) -> float:
        """Milliseconds, the median of some requests."""
        with self.over(self.port, self.model) as ask:
            return 1e3 * p50(ask, LARGE if self.model == "image" else SMALL)


def _added(ports: Ports) -> list[Figure]:
    alone = {name: Row("", over_grpc, ports.runtime, name) for name in ("scalars", "image")}
    rows = (
        Row("2 scalars, JSON", over_http, ports.http, "scalars"),
        Row("2 scalars, gRPC", over_grpc, ports.grpc, "scalars"),
        Row("two stages, JSON", over_http, ports.http, "pipeline", stages=2),
        Row("two stages, gRPC", over_grpc, ports.grpc, "pipeline", stages=2),
        Row(f"{FLOATS} floats, gRPC", over_grpc, ports.grpc, "image"),
        Row(f"{FLOATS} floats, binary over HTTP", over_binary, ports.http, "image"),
        Row(f"{FLOATS} floats, JSON", over_http, ports.http, "image", more=PARSED),
    )
    rounds = [{row: row.took() for row in (*alone.values(), *rows)} for _ in range(ROUNDS)]
    figures = []
    for row in rows:
        direct = alone["image" if row.model == "image" else "scalars"]
        added = statistics.median(took[row] - row.stages * took[direct] for took in rounds)
        least = row.stages * statistics.median(took[direct] for took in rounds)
        most = row.stages * MOST + row.more
        figures.append(
            Figure(
                what=f"added by the gateway to {row.what}, p50",
                ours=f"{added:.2f} ms",
                anchor=f"{most:.0f} ms",
                ratio=most / max(added, 0.01),
                note=f"the most it may; directly with grpcio {least:.2f} ms",
            )
        )
    return figures


async def _rates(ports: Ports, requests: int) -> list[Figure]:
    figures = []
    for what, measured, port in (
        ("JSON", load.http, ports.http),
        ("gRPC", load.over_grpc, ports.grpc),
    ):
        rate = statistics.median([await measured(port, ports.pid, requests) for _ in range(3)])
        figures.append(
            Figure(
                what=f"scalar requests of one core in a second, {what}",
                ours=f"{rate:.0f}/s",
                anchor=f"{LEAST}/s",
                ratio=rate / LEAST,
                note=f"the least; by CPU time of the router, {load.CONNECTIONS} at once",
            )
        )
    return figures


def _parsed() -> Figure:
    body = document("image")
    fields = CONTRACTS["image"].inputs
    took = 1e3 * p50(lambda: to_tensors(body, fields), 15)
    numpys = 1e3 * p50(lambda: np.array(json.loads(body)["image"], np.float32), 5)
    return Figure(
        what=f"JSON of {FLOATS} floats to a tensor",
        ours=f"{took:.1f} ms",
        anchor=f"{PARSED:.0f} ms",
        ratio=PARSED / took,
        note=f"the most it may; json and numpy {numpys:.0f} ms",
    )
