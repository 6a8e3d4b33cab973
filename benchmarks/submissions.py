"""Durable submissions through the API, beside bare durable commits on the same server."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import asyncpg

from benchmarks.drill.load import ROUTE, Client, empty_source
from benchmarks.hammer import Run
from benchmarks.table import Figure
from tests.acceptance.platform import Platform

AT_ONCE = 8


async def submit(platform: Platform, count: int) -> Run:
    """`count` endpoint jobs, `AT_ONCE` at a time; each answer means that it is on disk."""
    took: list[float] = []
    async with aiohttp.ClientSession() as http:
        client = Client(http, platform.api_url, platform.token)
        source = await client.upload(empty_source())
        numbers = iter(range(count))

        async def one_after_another() -> None:
            for number in numbers:
                body = {
                    "name": f"bench-{time.time_ns()}-{number}",
                    "resources": {"gpu_types": ["bench"], "gpu_count": 1},
                    "model": {"source_uri": source},
                    "endpoint": {"routes": [ROUTE]},
                }
                began = time.perf_counter()
                status, answer = await client.ask(
                    "POST", "/projects/local/default/endpoints", json=body
                )
                took.append(time.perf_counter() - began)
                assert status == 201, answer

        began = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
        return Run(time.perf_counter() - began, took)


async def commit(database_url: str, count: int) -> Run:
    """The limit: one small row and one commit each, over as many connections."""
    took: list[float] = []
    numbers = iter(range(count))
    admin = await asyncpg.connect(database_url)
    await admin.execute("CREATE TABLE IF NOT EXISTS bench (id bigint, body text)")

    async def one_after_another() -> None:
        connection = await asyncpg.connect(database_url)
        for number in numbers:
            began = time.perf_counter()
            await connection.execute("INSERT INTO bench VALUES ($1, $2)", number, "x" * 500)
            took.append(time.perf_counter() - began)
        await connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    run = Run(time.perf_counter() - began, took)
    await admin.execute("DROP TABLE bench")
    await admin.close()
    return run


def database_url(home: Path) -> str:
    """Where the embedded platform's PostgreSQL listens."""
    socket_folder = (home / "postgres" / "postmaster.pid").read_text().splitlines()[4]
    return f"postgresql://postgres@/postgres?host={socket_folder}"


async def measure(platform: Platform, count: int) -> list[Figure]:
    bare = await commit(database_url(platform.home), count)
    ours = await submit(platform, count)
    return [
        Figure(
            what="submissions per second",
            ours=f"{ours.rate:.0f}/s",
            anchor=f"{bare.rate:.0f}/s",
            ratio=ours.rate / bare.rate,
            note=f"one-row commits, {AT_ONCE} connections",
        ),
        Figure(
            what="submission, p99",
            ours=f"{ours.percentile(0.99) * 1e3:.0f} ms",
            anchor=f"{bare.percentile(0.99) * 1e3:.0f} ms",
            ratio=bare.percentile(0.99) / ours.percentile(0.99),
            note="the same",
        ),
    ]
