"""From submit to first answer, the image cached, beside starting the same server by hand."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from benchmarks.table import Figure
from slipway import AsyncClient
from tests.acceptance.platform import ROOT, Platform
from tests.ports import free_ports

CODE = "def hello(): return 'hello'\n"
ROUTES = [{"path": "/hello", "verb": "POST", "file": "predict", "function": "hello", "body": []}]


async def until_it_answers(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        try:
            async with http.post(url, json={}) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.005)


async def ours(client: AsyncClient, http: aiohttp.ClientSession, code: Path, router: str) -> float:
    began = time.perf_counter()
    name = f"first-{time.time_ns()}"
    job = await client.create_endpoint(name, code, routes=ROUTES, gpu_type="cpu")
    await until_it_answers(http, f"{router}/endpoints/{job.id}/hello")
    took = time.perf_counter() - began
    await client.stop(job.id)
    await client.wait_for_job(job.id, "stopped")
    return took


async def by_hand(http: aiohttp.ClientSession, code: Path) -> float:
    port = free_ports(1)[0]
    endpoint = code.parent / "endpoint.json"
    endpoint.write_text(json.dumps({"entry": {"routes": ROUTES}}))
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "runtimes" / "routes.py"),
        cwd=code,
        env={**os.environ, "PORT": str(port), "SLIPWAY_ENDPOINT": str(endpoint)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    await until_it_answers(http, f"http://127.0.0.1:{port}/hello")
    took = time.perf_counter() - began
    process.terminate()
    await process.wait()
    return took


async def measure(platform: Platform, rounds: int) -> list[Figure]:
    mine, hand = [], []
    with TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        code.mkdir()
        (code / "predict.py").write_text(CODE)
        async with (
            AsyncClient(platform.api_url, platform.token, "local/default") as client,
            aiohttp.ClientSession() as http,
        ):
            await ours(client, http, code, platform.router_url)  # builds and caches the image
            for _ in range(rounds):
                mine.append(await ours(client, http, code, platform.router_url))
                hand.append(await by_hand(http, code))
    median, anchor = statistics.median(mine), statistics.median(hand)
    return [
        Figure(
            what="submit to first answer",
            ours=f"{median * 1e3:.0f} ms",
            anchor=f"{anchor * 1e3:.0f} ms",
            ratio=anchor / median,
            note="the same server started by hand",
        )
    ]
