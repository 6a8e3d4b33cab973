"""Jobs that must start, give way or end by some time; that time is written into the tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler.driver import Replica
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.performer import Options
from services.scheduler.queue import values
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.database.pool import Database
from shared.events import JobPreempted, JobStopping, JobWarned

OPTIONS = Options(
    policy=Policy(drain=0.0), queue=values.Policy(notice=30.0, kept=0.0), again_after=0.0
)
LONG = timedelta(hours=1)


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def scheduler(database: Database, driver: FakeDriver) -> Scheduler:
    return Scheduler(database, driver, target="process", options=OPTIONS)


async def turns(scheduler, count=4):
    for _ in range(count):
        await scheduler.turn()
        await scheduler.settle()


async def test_a_job_that_has_no_place_by_then_fails(stage, scheduler):
    job = await stage.job(gpus=1, start_by=datetime.now(UTC) + LONG)
    building = await stage.job(gpus=1, start_by=datetime.now(UTC) + LONG, queued=False)
    await turns(scheduler, 1)
    assert await stage.state(job) == "queued"
    for each in (job, building):
        await stage.later(each, 3601.0)
    await turns(scheduler, 1)
    for each in (job, building):
        found = await stage.get(each)
        assert (found.state, found.reason) == (
            "failed",
            "it was not given a place by the time by which it had to start",
        )


async def test_who_had_its_place_in_time_may_wait_for_the_next_as_long_as_it_takes(
    stage, scheduler, driver
):
    await stage.has(t4=1)
    job = await stage.job(gpus=1, start_by=datetime.now(UTC) + LONG)
    await turns(scheduler)
    await stage.database.execute("UPDATE gpus SET present = false")
    driver.vanish(Replica(job, 1))
    await turns(scheduler)
    await stage.later(job, 3601.0)
    await turns(scheduler)
    assert await stage.state(job) == "queued"


async def test_an_endpoint_is_told_of_its_end_once_and_then_stops(stage, scheduler):
    job = await stage.job(run_at_most=600.0)
    await turns(scheduler)
    assert await stage.said(job, JobWarned) == []
    await stage.later(job, 545.0)
    await turns(scheduler)
    (warned,) = await stage.said(job, JobWarned)
    assert (warned.what, warned.attempt) == ("run limit", 1)
    assert abs(warned.at - datetime.now(UTC) - timedelta(seconds=55)) < timedelta(seconds=30)
    assert await stage.state(job) == "running"
    await stage.later(job, 60.0)
    await turns(scheduler)
    assert await stage.state(job) == "stopped"
    assert [fact.by for fact in await stage.said(job, JobStopping)] == ["run limit"]
    assert len(await stage.said(job, JobWarned)) == 1


async def test_a_batch_job_fails_at_its_end(stage, scheduler):
    job = await stage.job(run_at_most=600.0, kind="batch", run={"lines": ["sleep 1000"]})
    await turns(scheduler)
    await stage.later(job, 601.0)
    await turns(scheduler)
    found = await stage.get(job)
    assert (found.state, found.reason) == ("failed", "it may run for 600 s, and has")


async def preempting(stage, scheduler):
    """One that has to give way, and the one that it was warned for."""
    await stage.has(t4=1)
    victim = await stage.job(gpus=1, preemptible=True, priority=-100)
    await turns(scheduler)
    assert await stage.state(victim) == "running"
    waiting = await stage.job(gpus=1)
    await turns(scheduler)
    return victim, waiting


async def test_a_job_is_warned_gives_way_and_comes_back_in_its_place(stage, scheduler):
    victim, waiting = await preempting(stage, scheduler)
    (warned,) = await stage.said(victim, JobWarned)
    assert warned.what == "preemption"
    assert abs(warned.at - datetime.now(UTC) - timedelta(seconds=30)) < timedelta(seconds=20)
    assert await stage.state(victim) == "running"
    queued_at = (await stage.get(victim)).queued_at
    await stage.later(victim, 31.0)
    await turns(scheduler)
    assert (await stage.state(victim), await stage.state(waiting)) == ("queued", "running")
    assert await stage.said(victim, JobPreempted) == [
        JobPreempted(job=victim, attempt=1, reason=f"gave way to {waiting}", to=waiting)
    ]
    found = await stage.get(victim)
    assert (found.attempt, found.queued_at) == (2, queued_at)
    await stage.say(JobStopping(job=waiting))
    await turns(scheduler)
    assert await stage.state(victim) == "running"
    assert len(await stage.said(victim, JobWarned)) == 1


async def test_it_is_let_off_when_it_is_not_needed_any_more(stage, scheduler):
    victim, waiting = await preempting(stage, scheduler)
    await stage.say(JobStopping(job=waiting))
    await turns(scheduler)
    await stage.later(victim, 31.0)
    await turns(scheduler)
    assert (await stage.state(victim), await stage.facts(victim)) == (
        "running",
        ["building", "queued", "placed", "started", "warned"],
    )


async def test_S19_its_gpu_is_free_only_when_its_processes_are_gone(stage, scheduler, driver):
    victim, waiting = await preempting(stage, scheduler)
    await stage.later(victim, 31.0)
    driver.may_stop.clear()  # it ignores SIGTERM
    for _ in range(3):
        await scheduler.turn()
    assert (await stage.state(victim), await stage.state(waiting)) == ("queued", "queued")
    assert await stage.held() == {"process/t4-0": Replica(victim, 1)}
    driver.may_stop.set()
    await turns(scheduler)
    assert await stage.held() == {"process/t4-0": Replica(waiting, 1)}


async def test_a_warning_outlives_the_start_and_the_scheduler(stage, scheduler, driver, database):
    await stage.has(t4=1)
    driver.may_start.clear()
    victim = await stage.job(gpus=1, preemptible=True, priority=-100)
    await scheduler.turn()
    waiting = await stage.job(gpus=1)
    await scheduler.turn()
    assert len(await stage.said(victim, JobWarned)) == 1
    driver.may_start.set()
    await turns(scheduler)
    assert await stage.state(victim) == "running"
    await stage.later(victim, 31.0)
    await turns(Scheduler(database, driver, target="process", options=OPTIONS))
    assert await stage.state(waiting) == "running"
    assert len(await stage.said(victim, JobWarned)) == 1
