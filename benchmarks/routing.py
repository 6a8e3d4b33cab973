"""Requests per second through the router, beside the endpoint alone."""

from __future__ import annotations

import asyncio
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from benchmarks.hammer import Run, hammer
from benchmarks.table import Figure
from slipway import AsyncClient
from tests.acceptance.platform import Platform
from tests.ports import free_ports

ORIGIN = Path(__file__).with_name("origin.py")
CONNECTIONS = 16


async def measure(platform: Platform, requests: int, rounds: int = 3) -> list[Figure]:
    port = free_ports(1)[0]
    alone = await asyncio.create_subprocess_exec(sys.executable, str(ORIGIN), str(port))
    with TemporaryDirectory() as folder:
        (Path(folder) / "origin.py").write_text(ORIGIN.read_text())
        async with AsyncClient(platform.api_url, platform.token, "local/default") as client:
            job = await client.create_endpoint(
                "origin",
                folder,
                start_command="exec python origin.py 80",
                gpu_type="cpu",
                concurrency=64,
            )
            await client.wait_for_job(job.id)
            router = urlsplit(platform.router_url).port or 0
            path = f"/endpoints/{job.id}/"
            await hammer("127.0.0.1", router, path, connections=1, requests=20)
            pairs = [await _pair(port, router, path, requests) for _ in range(rounds)]
            await client.stop(job.id)
            await client.wait_for_job(job.id, "stopped")
    alone.terminate()
    await alone.wait()
    through = statistics.median(run.rate for run, _ in pairs)
    direct = statistics.median(run.rate for _, run in pairs)
    p50 = [statistics.median(run[side].percentile(0.5) for run in pairs) for side in (0, 1)]
    return [
        Figure(
            what="requests per second",
            ours=f"{through:.0f}/s",
            anchor=f"{direct:.0f}/s",
            ratio=through / direct,
            note=f"the endpoint alone, {CONNECTIONS} connections",
        ),
        Figure(
            what="request, p50",
            ours=f"{p50[0] * 1e3:.1f} ms",
            anchor=f"{p50[1] * 1e3:.1f} ms",
            ratio=p50[1] / p50[0],
            note="the same",
        ),
    ]


async def _pair(port: int, router: int, path: str, requests: int) -> tuple[Run, Run]:
    direct = await hammer("127.0.0.1", port, "/", connections=CONNECTIONS, requests=requests)
    through = await hammer("127.0.0.1", router, path, connections=CONNECTIONS, requests=requests)
    return through, direct
