"""What the benchmark stands on: a cluster with a played node, the scheduler, and its database."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from benchmarks.kubernetes.bell import Bell
from benchmarks.kubernetes.jobs import Jobs
from benchmarks.kubernetes.kubelet import playing
from benchmarks.kubernetes.logs import serving
from benchmarks.kubernetes.meter import Meter, metered
from benchmarks.kubernetes.told import Told
from shared.blobs import Blobs
from shared.database.embedded import postgres
from shared.database.migrate import migrate
from shared.database.pool import Database
from tests.beds.kubernetes.bed import Cluster
from tests.beds.registry import registry
from tests.cluster.api import Api, Refused, api
from tests.cluster.check import KINDS
from tests.scheduler.container.bed import Bed
from tests.scheduler.images import Base, image

TARGET: Final = "bench"
ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Scene:
    home: Path
    api: Api
    namespace: str
    kubeconfig: Path  # by way of the meter
    meter: Meter
    jobs: Jobs
    scheduler: Scheduler
    database_url: str


class Scheduler:
    """The process, and what it tells."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def told(self) -> Told:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        line = await self._process.stdout.readline()
        assert line, "the scheduler ended; its words are in scheduler.log"
        return msgspec.json.decode(line, type=Told)


@asynccontextmanager
async def stage(home: Path, bed: Cluster, count: int) -> AsyncIterator[Scene]:
    """All of it, with `count` jobs that are not queued yet."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        cluster = await enter(api(bed.kubeconfig))
        meter = await enter(metered(bed.kubeconfig, home / "kubeconfig"))
        port = await enter(serving(bed.host)) if bed.host else 0
        await enter(playing(cluster, bed.host, port))
        namespace = await enter(space(cluster, "bench"))
        url = stack.enter_context(postgres(home / "postgres"))
        async with Database.open(url) as database:
            await migrate(database)
        blobs = Blobs.open(f"file:{home / 'blobs'}")
        address = await enter(registry(home / "registry"))
        digest = await image(blobs, "serve", user="1000:1000")
        repository = await Bed(None, address, Base()).push(blobs, digest)
        rows = await asyncpg.connect(url)
        stack.push_async_callback(rows.close)
        jobs = Jobs(rows, TARGET)
        await jobs.prepare(count, digest, repository)
        settings = {
            "DATABASE_URL": url,
            "BLOBS_URL": f"file:{home / 'blobs'}",
            "SLIPWAY_HOME": str(home),
            "SCHEDULER_PORT": "0",
            "TARGET": TARGET,
            "KUBECONFIG": str(home / "kubeconfig"),
            "KUBERNETES_NAMESPACE": namespace,
            "PLATFORM": namespace,  # nobody else's objects are ours
            "DOORMAN_KEY": secrets.token_hex(32),
            "DOORMAN_IMAGE": f"{repository}@{digest}",  # which nobody runs
            "LOG_LEVEL": "WARNING",
        }
        scheduler = await enter(_scheduler(home, settings))
        yield Scene(home, cluster, namespace, home / "kubeconfig", meter, jobs, scheduler, url)


@asynccontextmanager
async def _scheduler(home: Path, settings: dict[str, str]) -> AsyncIterator[Scheduler]:
    with (home / "scheduler.log").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.kubernetes.driven"),
            cwd=ROOT,
            env={**os.environ, **settings},
            stdin=PIPE,
            stdout=PIPE,
            stderr=said,
        )
    try:
        yield Scheduler(process)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(30):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def space(api: Api, what: str) -> AsyncIterator[str]:
    """A namespace of its own; at the end it goes, with all that is in it."""
    name = f"slipway-{what}-{secrets.token_hex(3)}"
    await api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    try:
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        await until(lambda: _exists(api, account), 60)
        yield name
    finally:
        await api.delete(f"/api/v1/namespaces/{name}")
        await until(lambda: _gone(api, f"/api/v1/namespaces/{name}"), 300)


@asynccontextmanager
async def bells(api: Api, namespace: str, *kinds: str) -> AsyncIterator[list[Bell]]:
    found = [Bell(api, KINDS[kind].format(namespace)) for kind in kinds]
    tasks = [asyncio.create_task(bell.run()) for bell in found]
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _exists(api: Api, path: str) -> bool:
    try:
        await api.get(path)
    except Refused as error:
        if error.status == 404:
            return False
        raise
    return True


async def _gone(api: Api, path: str) -> bool:
    return not await _exists(api, path)


async def until(true: Callable[[], Awaitable[bool]], within: float) -> None:
    """Look ten times a second."""
    async with asyncio.timeout(within):
        while True:
            if await true():
                return
            await asyncio.sleep(0.1)
