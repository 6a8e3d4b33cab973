"""The scheduler with real processes: the way of a job, and a second life of the platform."""

from __future__ import annotations

import asyncio

import pytest

from services.scheduler.driver import Replica
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.events import JobStopping
from tests.scheduler.images import image
from tests.scheduler.stage import Stage
from tests.scheduler.targets import SERVER, free_port, opened, target

OPTIONS = Options(policy=Policy(drain=0.0), stop_grace=2.0)


@pytest.fixture
async def stage(database):
    stage = Stage(database)
    await stage.prepare()
    return stage


async def become(stage, scheduler, job, state):
    async with asyncio.timeout(30):
        while await stage.state(job) != state:
            await scheduler.turn()
            await scheduler.settle()
            await asyncio.sleep(0.02)


async def test_a_server_runs_says_something_and_ends(stage, tmp_path):
    async with target("plain", tmp_path) as here:
        scheduler = Scheduler(stage.database, here.driver, target="process", options=OPTIONS)
        digest = await image(here.blobs, "python", "server.py", code={"server.py": SERVER})
        job = await stage.job(image=digest, port=free_port())
        await become(stage, scheduler, job, "running")
        await stage.say(JobStopping(job=job))
        await become(stage, scheduler, job, "stopped")
        assert await stage.lines(job) == ["serving"]
        assert await here.driver.observe() == {}


async def test_S06_what_runs_is_found_again_and_goes_on(stage, tmp_path):
    async with target("plain", tmp_path) as here:
        first = Scheduler(stage.database, here.driver, target="process", options=OPTIONS)
        digest = await image(here.blobs, "python", "server.py", code={"server.py": SERVER})
        job = await stage.job(image=digest, port=free_port())
        await become(stage, first, job, "running")
        born = (await here.driver.observe())[Replica(job, 1)].since
        async with opened("plain", tmp_path, here.blobs) as again:
            second = Scheduler(stage.database, again, target="process", options=OPTIONS)
            for _ in range(3):
                await second.turn()
                await second.settle()
            assert (await again.observe())[Replica(job, 1)].since == born
            assert await stage.facts(job) == ["building", "queued", "placed", "started"]


async def test_a_program_that_ends_again_and_again_fails_its_job(stage, tmp_path):
    async with target("plain", tmp_path) as here:
        scheduler = Scheduler(stage.database, here.driver, target="process", options=OPTIONS)
        digest = await image(here.blobs, "/bin/sh", "-c", "echo no model >&2; exit 3")
        job = await stage.job(image=digest, port=free_port())
        await become(stage, scheduler, job, "failed")
        assert (await stage.get(job)).reason.startswith(
            "crash loop: ended with exit code 3 five times in a row; last lines: no model"
        )
        await become(stage, scheduler, job, "failed")
