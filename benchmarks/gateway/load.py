"""How many requests a core of the router's is good for: requests in a second of its CPU time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import grpc

from benchmarks.gateway.models import PREDICT, address, document, message

CONNECTIONS = 16


def cpu(pid: int) -> float:
    """Seconds that a process has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def http(port: int, pid: int, requests: int) -> float:
    body = document("scalars")
    head = f"POST {address('scalars')} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body

    async def connection(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer.decode(errors="replace"))
            length = answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()

    return await _rate(connection, pid, requests)


async def over_grpc(port: int, pid: int, requests: int) -> float:
    data = message("scalars")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PREDICT)

        async def connection(count: int) -> None:
            for _ in range(count):
                await call(data)

        return await _rate(connection, pid, requests)


async def _rate(connection, pid: int, requests: int) -> float:  # type: ignore[no-untyped-def]
    async def all_of(count: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(connection(count // CONNECTIONS))

    await all_of(requests // 10)
    began = cpu(pid)
    await all_of(requests)
    return requests / (cpu(pid) - began)
