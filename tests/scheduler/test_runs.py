"""Batch jobs, from the queue to their end: with a target that is only remembered, and a real one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.scheduler.driver import Replica
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.outputs import Outputs
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.endpoint import Run
from shared.errors import Permanent, Transient
from shared.events import JobQueued, JobRestarted, JobStopping
from shared.ids import JobId
from tests.scheduler.images import image
from tests.scheduler.stage import Stage
from tests.scheduler.targets import opened, target, unpacked

AT_ONCE = Options(policy=Policy(drain=0.0), again_after=0.0, stop_grace=2.0)


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs.open(f"file:{tmp_path / 'blobs'}")


@pytest.fixture
def scheduler(database: Database, driver: FakeDriver, blobs: Blobs) -> Scheduler:
    outputs = Outputs(blobs, 1000)
    return Scheduler(database, driver, target="process", options=AT_ONCE, outputs=outputs)


async def batch(stage: Stage, *lines: str, retries: int = 0, timeout=None, **more) -> JobId:
    job = await stage.job(queued=False, **more)
    await stage.database.execute(
        "UPDATE jobs SET kind = 'batch', run = $2::jsonb, retries = $3 WHERE id = $1",
        job,
        Run(lines=lines or ("true",), timeout=timeout, variables={"SEED": "7"}),
        retries,
    )
    await stage.say(JobQueued(job=job))
    return job


async def turns(scheduler: Scheduler, count: int = 4) -> None:
    for _ in range(count):
        await scheduler.turn()
        await scheduler.settle()


async def running(stage: Stage, scheduler: Scheduler, **more) -> JobId:
    job = await batch(stage, **more)
    await turns(scheduler)
    assert await stage.state(job) == "running"
    return job


async def row(stage: Stage, job: JobId):
    found = await stage.database.row("SELECT * FROM jobs WHERE id = $1", job)
    assert found is not None
    return found


async def test_what_ends_with_0_has_finished_and_gives_its_gpus_back(stage, scheduler, driver):
    await stage.has(t4=1)
    job = await running(stage, scheduler, gpus=1)
    work = driver.workloads[Replica(job, 1)]
    assert work.run == Run(lines=("true",), variables={"SEED": "7"})
    assert work.environment["SEED"] == "7"
    assert work.environment["SLIPWAY_OUTPUTS"] == "/slipway/outputs"
    assert (await stage.get(job)).addresses == ()
    driver.end(Replica(job, 1))
    await turns(scheduler)
    assert await stage.state(job) == "finished"
    assert (await row(stage, job))["exit_code"] == 0
    assert await stage.held() == {}
    assert await driver.observe() == {}
    facts = ["building", "queued", "placed", "started", "finished"]
    assert await stage.facts(job) == facts


async def test_what_it_left_is_kept_before_it_is_gone(stage, scheduler, driver, blobs):
    job = await running(stage, scheduler)
    driver.left[Replica(job, 1)] = b"a tar"
    driver.end(Replica(job, 1))
    await turns(scheduler)
    found = await row(stage, job)
    assert await blobs.read(found["outputs"]) == b"a tar"
    assert found["outputs_size"] == 5


async def test_it_has_not_finished_before_what_it_left_is_kept(
    stage, scheduler, driver, blobs, monkeypatch
):
    job = await running(stage, scheduler)
    driver.left[Replica(job, 1)] = b"a tar"
    driver.end(Replica(job, 1))
    with monkeypatch.context() as away:

        async def put(*_, **__):
            raise Transient("the store is away")

        away.setattr(blobs, "put", put)
        await turns(scheduler)
        assert await stage.state(job) == "running"
        assert Replica(job, 1) in await driver.observe()
    await turns(scheduler)
    assert await stage.state(job) == "finished"
    assert (await row(stage, job))["outputs_size"] == 5


async def test_what_leaves_too_much_fails_and_says_so(stage, scheduler, driver):
    job = await running(stage, scheduler, retries=3)
    driver.left[Replica(job, 1)] = bytes(1001)
    driver.end(Replica(job, 1))
    await turns(scheduler)
    assert await stage.state(job) == "failed"
    assert "more than the 1000 bytes" in (await stage.get(job)).reason


async def test_what_is_left_so_that_nothing_can_ever_read_it_fails_and_gives_its_gpus_back(
    stage, scheduler, driver, monkeypatch
):
    await stage.has(t4=1)
    job = await running(stage, scheduler, gpus=1)

    async def outputs(*_):
        yield b"half a tar"
        raise Permanent("the engine's tar is damaged")

    monkeypatch.setattr(driver, "outputs", outputs)
    driver.end(Replica(job, 1))
    await turns(scheduler)
    found = await stage.get(job)
    assert (found.state, await stage.held()) == ("failed", {})
    assert found.reason == "what it left can't be kept: the engine's tar is damaged"


async def test_what_fails_is_tried_again_as_often_as_was_asked(stage, scheduler, driver):
    job = await running(stage, scheduler, retries=1)
    driver.say(Replica(job, 1), "no data")
    driver.end(Replica(job, 1), 3)
    await turns(scheduler)
    found = await row(stage, job)
    assert (found["state"], found["attempt"], found["retries"]) == ("running", 2, 0)
    assert found["exit_code"] is None  # that was of the first try
    driver.end(Replica(job, 2), 4)
    await turns(scheduler)
    found = await row(stage, job)
    assert (found["state"], found["exit_code"]) == ("failed", 4)
    assert found["reason"] == "ended with exit code 4; it printed nothing"
    facts = (await stage.facts(job))[2:]
    assert facts == ["placed", "started", "retried", "placed", "started", "failed"]
    assert await driver.observe() == {}


async def test_its_last_lines_are_the_reason(stage, scheduler, driver):
    job = await running(stage, scheduler)
    driver.say(Replica(job, 1), "loading", "no data")
    driver.end(Replica(job, 1), 3)
    await turns(scheduler)
    reason = (await stage.get(job)).reason
    assert reason == "ended with exit code 3; last lines: loading | no data"


async def test_what_takes_too_long_is_ended(stage, scheduler, driver):
    job = await running(stage, scheduler, timeout=60)
    await turns(scheduler)
    assert await stage.state(job) == "running"
    await stage.age(job, 61)
    await turns(scheduler)
    assert await stage.state(job) == "failed"
    reason = (await stage.get(job)).reason
    assert reason == "ran for longer than the 60 s that it may; it printed nothing"
    assert await driver.observe() == {}


async def test_what_ended_in_time_has_ended_in_time_however_late_that_is_seen(
    stage, scheduler, driver
):
    job = await running(stage, scheduler, timeout=60)
    driver.end(Replica(job, 1))
    await stage.age(job, 1000)
    await turns(scheduler)
    assert await stage.state(job) == "finished"


@pytest.mark.parametrize("due", ["end", "give way"])
async def test_what_has_ended_neither_runs_too_long_nor_gives_way_while_its_outputs_are_kept(
    stage, scheduler, driver, blobs, monkeypatch, due
):
    job = await running(stage, scheduler, run_at_most=600.0)
    driver.left[Replica(job, 1)] = b"a tar"
    driver.end(Replica(job, 1))
    if due == "end":
        await stage.later(job, 700.0)
    else:
        await stage.database.execute("UPDATE jobs SET give_way_at = now(), give_way_to = 'j'")
    with monkeypatch.context() as away:

        async def put(*_, **__):
            raise Transient("the store is away")

        away.setattr(blobs, "put", put)
        await turns(scheduler)
    await turns(scheduler)
    found = await row(stage, job)
    assert (found["state"], found["attempt"], found["exit_code"]) == ("finished", 1, 0)


async def test_what_is_lost_is_run_again_and_spends_no_try(stage, scheduler, driver):
    job = await running(stage, scheduler, retries=1)
    driver.vanish(Replica(job, 1))
    await turns(scheduler)
    found = await row(stage, job)
    assert (found["state"], found["attempt"], found["retries"]) == ("running", 2, 1)


async def test_what_was_stopped_can_be_run_anew(stage, scheduler, driver):
    job = await running(stage, scheduler)
    await stage.say(JobStopping(job=job))
    await turns(scheduler)
    assert await stage.state(job) == "stopped"
    await stage.say(JobRestarted(job=job))
    await turns(scheduler)
    driver.end(Replica(job, 2))
    await turns(scheduler)
    assert await stage.state(job) == "finished"


async def test_a_short_run_may_end_before_it_was_seen_to_run(stage, scheduler, driver):
    driver.may_look.clear()
    job = await batch(stage)
    driver.may_look.set()
    driver.becomes = driver.becomes.STARTING
    await turns(scheduler, 2)
    assert await stage.state(job) == "starting"
    driver.end(Replica(job, 1))
    await turns(scheduler)
    assert await stage.state(job) == "finished"


async def test_nothing_is_written_twice(stage, scheduler, driver):
    job = await running(stage, scheduler)
    before = await stage.written()
    await turns(scheduler)
    assert await stage.written() == before
    driver.end(Replica(job, 1))
    await turns(scheduler)
    before = await stage.written()
    await turns(scheduler)
    assert await stage.written() == before


async def until(stage: Stage, scheduler: Scheduler, job: JobId, state: str) -> None:
    async with asyncio.timeout(30):
        while await stage.state(job) != state:
            await scheduler.turn()
            await scheduler.settle()
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", ["namespaces", "plain"])
async def test_a_command_runs_in_its_image_and_what_it_leaves_is_kept(stage, tmp_path, kind):
    async with target(kind, tmp_path) as here:
        kept = Outputs(here.blobs)
        options = {"target": "process", "options": AT_ONCE, "outputs": kept}
        scheduler = Scheduler(stage.database, here.driver, **options)
        digest = await image(here.blobs, "sleep", "600", code={"data": "one"})
        job = await batch(stage, "cat data", 'cp data "$SLIPWAY_OUTPUTS/$SEED"', image=digest)
        await until(stage, scheduler, job, "finished")
        packed = await here.blobs.read((await row(stage, job))["outputs"])
        assert unpacked(packed) == {"7": b"one"}
        assert await stage.lines(job) == ["one"]
        await turns(scheduler)
        assert await here.driver.observe() == {}


async def test_how_it_ended_is_known_to_the_next_scheduler(stage, tmp_path):
    async with target("namespaces", tmp_path) as here:
        first = Scheduler(stage.database, here.driver, target="process", options=AT_ONCE)
        digest = await image(here.blobs, "sleep", "600")
        job = await batch(stage, "echo well >&2; exit 5", image=digest)
        async with asyncio.timeout(30):
            while not (seen := await here.driver.look(Replica(job, 1))) or seen.exit_code is None:
                if await stage.state(job) == "queued":
                    await first.turn()
                    await first.settle()
                await asyncio.sleep(0.02)
        async with opened("namespaces", tmp_path, here.blobs) as again:
            second = Scheduler(stage.database, again, target="process", options=AT_ONCE)
            await until(stage, second, job, "failed")
        reason = (await stage.get(job)).reason
        assert reason == "ended with exit code 5; last lines: well"
