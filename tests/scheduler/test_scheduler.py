"""The scheduler with a real PostgreSQL and a target that is only remembered."""

from __future__ import annotations

import asyncio

import pytest

from services.scheduler.driver import Phase, Replica
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Options, Scheduler
from shared.database.pool import Database
from shared.events import JobFailed, JobRestarted, JobStopping, JobTerminated
from shared.ids import JobId
from tests.scheduler.stage import IMAGE, Stage

AT_ONCE = Options(policy=Policy(drain=0.0), again_after=0.0, router_url="http://router")


@pytest.fixture
async def stage(database: Database) -> Stage:
    stage = Stage(database)
    await stage.prepare()
    return stage


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def scheduler(database: Database, driver: FakeDriver) -> Scheduler:
    return Scheduler(database, driver, target="process", options=AT_ONCE)


async def turns(scheduler: Scheduler, count: int = 4) -> None:
    """Enough for whatever was asked to be done."""
    for _ in range(count):
        await scheduler.turn()
        await scheduler.settle()


async def running(stage: Stage, scheduler: Scheduler, **needs: object) -> JobId:
    job = await stage.job(**needs)  # type: ignore[arg-type]
    await turns(scheduler)
    assert await stage.state(job) == "running"
    return job


async def test_a_queued_job_runs_and_answers_where_its_driver_says(stage, scheduler, driver):
    job = await stage.job()
    await turns(scheduler)
    found = await stage.get(job)
    seen = (await driver.observe())[Replica(job, 1)]
    assert (found.state, found.address) == ("running", seen.address)
    assert await stage.facts(job) == ["building", "queued", "placed", "started"]


async def test_a_stopped_job_is_gone_and_holds_nothing(stage, scheduler, driver):
    await stage.has(a100=2)
    job = await running(stage, scheduler, gpus=2, types=["a100"])
    await stage.say(JobStopping(job=job))
    await turns(scheduler)
    assert await stage.state(job) == "stopped"
    assert await stage.held() == {}
    assert driver.workloads == {}
    assert (await stage.facts(job))[-2:] == ["stopping", "stopped"]
