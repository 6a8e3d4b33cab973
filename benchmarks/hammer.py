"""A load client that costs little: keep-alive connections, one request at a time on each."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Final

import msgspec

LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Run(msgspec.Struct, frozen=True):
    seconds: float
    latencies: list[float]  # seconds, one for each request

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def _connection(host: str, port: int, request: bytes, count: int, took: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for _ in range(count):
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"answered {head.splitlines()[0].decode(errors='replace')}")
            length = LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            took.append(time.perf_counter() - began)
    finally:
        writer.close()


async def hammer(host: str, port: int, path: str, *, connections: int, requests: int) -> Run:
    """`requests` GETs over `connections` connections. Raises when one is not answered 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    took: list[float] = []
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_connection(host, port, request, requests // connections, took))
    return Run(time.perf_counter() - began, took)
