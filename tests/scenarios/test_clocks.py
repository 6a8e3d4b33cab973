"""The one clock that counts is the database's, and it may jump."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.database.pool import Database
from shared.events import JobStopping
from tests.scheduler.stage import Stage
from tests.simulation.clock import Clock, timeless

HOUR, DAY = 3_600.0, 86_400.0
OPTIONS = Options(policy=Policy(drain=0.01, start_deadline=600.0), again_after=0.0)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with timeless(postgres_url) as url, Database.open(url) as database:
        yield database


@pytest.fixture
async def stage(database: Database) -> Stage:
    stage = Stage(database)
    await stage.prepare()
    await stage.has(t4=1)
    return stage


@pytest.fixture
def scheduler(database: Database) -> Scheduler:
    return Scheduler(database, FakeDriver(), target="process", options=OPTIONS)


async def turns(scheduler: Scheduler, count: int = 4) -> None:
    for _ in range(count):
        await scheduler.turn()
        await scheduler.settle()


@pytest.mark.parametrize("jump", [-DAY, -HOUR, HOUR, DAY])
async def test_C01_when_the_clock_jumps_what_runs_runs_on_and_stops_in_time(
    stage: Stage, scheduler: Scheduler, database: Database, jump: float
) -> None:
    clock = Clock(database)
    job = await stage.job(gpus=1)
    await turns(scheduler)
    await clock.advance(jump)
    await turns(scheduler)
    assert await stage.state(job) == "running"
    await stage.say_now(JobStopping, job)
    await turns(scheduler)
    assert await stage.state(job) == "stopped"
    assert await stage.held() == {}


async def test_S17_a_gpu_that_is_held_across_a_jump_is_billed_for_no_less_than_nothing(
    stage: Stage, scheduler: Scheduler, database: Database
) -> None:
    clock = Clock(database)
    first, second = await stage.job(gpus=1), await stage.job(gpus=1)
    await turns(scheduler)
    await clock.advance(-HOUR)
    await stage.say_now(JobStopping, first)
    await turns(scheduler)
    assert await stage.state(second) == "running"
    held = (
        "SELECT extract(epoch FROM released_at - held_at)::float8 FROM allocations WHERE job = $1"
    )
    assert await database.value(held, first) == 0.0
