"""The scheduler with a real PostgreSQL and a target that is only remembered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest

from services.scheduler import store
from services.scheduler.driver import Phase, Replica
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import STARTS, Scheduler
from shared.database.pool import Database
from shared.errors import Transient
from shared.events import (
    Event,
    JobFailed,
    JobPlaced,
    JobRestarted,
    JobScaled,
    JobStopped,
    JobStopping,
)
from shared.ids import JobId
from tests.scheduler.stage import IMAGE, Stage, metadata

ROUNDS = 200
AT_ONCE = Options(policy=Policy(drain=0.0), again_after=0.0, router_url="http://router")
ANY_EVENT = Event(
    id="e1",
    source="/",
    type="slipway.job.queued.v1",
    subject="j1",
    time=datetime.now(UTC),
    data=msgspec.Raw(b"{}"),
)


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
    assert (found.state, found.addresses) == ("running", seen.addresses)
    assert await stage.facts(job) == ["building", "queued", "placed", "started"]


async def test_its_workload_is_what_its_version_says(stage, scheduler, driver):
    await stage.has(a100=3)
    job = await running(stage, scheduler, gpus=2, types=["a100"])
    found = driver.workloads[Replica(job, 1)]
    assert found.image == IMAGE
    assert found.devices == ("0", "1")
    assert found.environment["SLIPWAY_JOB"] == job
    assert found.environment["VH_DEFAULT_PREFIX"].startswith("/ada/mnist/web/v")
    assert metadata(found.files)["project"]["name"] == "mnist"


async def test_a_stopped_job_is_gone_and_holds_nothing(stage, scheduler, driver):
    await stage.has(a100=2)
    job = await running(stage, scheduler, gpus=2, types=["a100"])
    await stage.say(JobStopping(job=job))
    await turns(scheduler)
    assert await stage.state(job) == "stopped"
    assert await stage.held() == {}
    assert driver.workloads == {}
    assert (await stage.facts(job))[-2:] == ["stopping", "stopped"]


async def test_a_gpu_is_free_only_when_what_used_it_is_gone(stage, scheduler, driver):
    await stage.has(t4=1)
    first = await running(stage, scheduler, gpus=1, types=["t4"])
    second = await stage.job(gpus=1, types=["t4"])
    driver.may_stop.clear()
    await stage.say(JobStopping(job=first))
    for _ in range(3):
        await scheduler.turn()
    assert await stage.held() == {"process/t4-0": Replica(first, 1)}
    assert (await stage.state(first), await stage.state(second)) == ("stopping", "queued")
    driver.may_stop.set()
    await turns(scheduler)
    assert await stage.held() == {"process/t4-0": Replica(second, 1)}
    assert (await stage.state(first), await stage.state(second)) == ("stopped", "running")


async def test_a_slow_stop_holds_up_nobody_else(stage, scheduler, driver):
    slow = await running(stage, scheduler)
    driver.may_stop.clear()
    await stage.say(JobStopping(job=slow))
    await scheduler.turn()
    other = await stage.job()
    async with asyncio.timeout(20):
        while await stage.state(other) != "running":
            await scheduler.turn()
    assert await stage.state(slow) == "stopping"
    driver.may_stop.set()
    await scheduler.settle()


async def test_a_job_says_why_it_waits_and_goes_on_when_it_can(stage, scheduler):
    await stage.has(t4=1)
    first = await running(stage, scheduler, gpus=1, types=["t4"])
    second = await stage.job(gpus=1, types=["t4"])
    await turns(scheduler, 1)
    assert (await stage.get(second)).reason == "waits for 1 t4; 0 of 1 are free; next in line"
    await stage.say(JobStopping(job=first))
    await turns(scheduler)
    found = await stage.get(second)
    assert (found.state, found.reason) == ("running", "")


async def test_a_gpu_above_the_price_is_not_taken(stage, scheduler):
    await stage.has(t4=1)
    await stage.database.execute("UPDATE gpus SET price = 2")
    job = await stage.job(gpus=1, types=["t4"], max_price=1.0)
    await turns(scheduler)
    assert "1 an hour or less" in (await stage.get(job)).reason


async def test_a_gpu_that_is_gone_is_not_offered(stage, scheduler):
    await stage.has(t4=1)
    await stage.database.execute("UPDATE gpus SET present = false")
    job = await stage.job(gpus=1, types=["t4"])
    await turns(scheduler)
    assert await stage.state(job) == "queued"


async def test_jobs_of_another_target_are_left_alone(stage, scheduler):
    job = await stage.job(target="kubernetes")
    await turns(scheduler)
    assert await stage.state(job) == "queued"


async def test_a_job_that_never_ran_stops_at_once(stage, scheduler, driver):
    queued, building = await stage.job(gpus=1, types=["t4"]), await stage.job(queued=False)
    for job in (queued, building):
        await stage.say(JobStopping(job=job))
    await turns(scheduler)
    assert [await stage.state(job) for job in (queued, building)] == ["stopped", "stopped"]
    assert driver.starts == []


async def test_a_restarted_job_runs_as_a_new_attempt(stage, scheduler, driver):
    job = await running(stage, scheduler)
    await stage.say(JobStopping(job=job))
    await turns(scheduler)
    await stage.say(JobRestarted(job=job))
    await turns(scheduler)
    assert list(driver.workloads) == [Replica(job, 2)]
    assert await stage.state(job) == "running"


async def test_S07_what_vanished_runs_again_as_the_next_attempt(stage, scheduler, driver):
    await stage.has(t4=1)
    job = await running(stage, scheduler, gpus=1, types=["t4"])
    driver.vanish(Replica(job, 1), trace=False)
    await turns(scheduler, 6)
    found = await stage.get(job)
    assert (found.state, found.attempt) == ("running", 2)
    assert await stage.held() == {"process/t4-0": Replica(job, 2)}
    assert (await stage.facts(job)).count("lost") == 1


async def test_what_can_never_start_fails_with_its_reason(stage, scheduler, driver):
    await stage.has(t4=1)
    driver.refuses["sha256:bad"] = "no such\x00 image"
    job = await stage.job(gpus=1, types=["t4"], image="sha256:bad")
    await turns(scheduler)
    found = await stage.get(job)
    assert (found.state, found.reason) == ("failed", "no such image")
    assert await stage.held() == {}


async def test_a_version_without_an_image_fails_its_job(stage, scheduler):
    job = await stage.job(image="")
    await turns(scheduler)
    assert (await stage.get(job)).reason == "its version has no image of predict"


async def test_a_broken_server_fails_its_job_at_once(stage, scheduler, driver):
    driver.becomes = Phase.STARTING
    job = await stage.job()
    await turns(scheduler)
    driver.show(Replica(job, 1), Phase.BROKEN, reason="predict.py has no function predict")
    await turns(scheduler)
    found = await stage.get(job)
    assert (found.state, found.reason) == ("failed", "predict.py has no function predict")
    assert driver.workloads == {}


async def test_S15_a_crash_loop_fails_with_the_end_of_the_log(stage, scheduler, driver):
    await stage.has(t4=1)
    job = await running(stage, scheduler, gpus=1, types=["t4"])
    driver.say(
        Replica(job, 1), "Traceback", "", "\x1b[31mImportError: torch\x1b[0m", stream="stderr"
    )
    for _ in range(5):
        driver.crash(Replica(job, 1))
    await turns(scheduler)
    found = await stage.get(job)
    assert found.state == "failed"
    assert found.reason == (
        "crash loop: ended with exit code 1 five times in a row;"
        " last lines: Traceback | ImportError: torch"
    )
    assert await stage.lines(job) == ["Traceback", "", "ImportError: torch"]
    assert await stage.held() == {}


async def test_a_reason_quotes_the_last_life_alone(stage, scheduler, driver):
    driver.becomes = Phase.STARTING
    job = await stage.job()
    await turns(scheduler)
    replica = Replica(job, 1)
    for _ in range(5):
        driver.say(replica, "loading", "no model", stream="stderr")
        driver.say(replica, "its server ended with exit code 1", stream="platform")
        driver.crash(replica)
    await turns(scheduler)
    assert (await stage.get(job)).reason == (
        "crash loop: ended with exit code 1 five times in a row; last lines: loading | no model"
    )


async def test_a_server_that_ends_well_is_restarted_for_ever(stage, scheduler, driver):
    job = await running(stage, scheduler)
    for _ in range(20):
        driver.crash(Replica(job, 1), exit_code=0)
    await turns(scheduler)
    found = await stage.get(job)
    assert (found.state, found.restarts) == ("running", 20)


async def test_a_job_that_does_not_become_ready_fails(stage, scheduler, driver):
    driver.becomes = Phase.STARTING
    job = await stage.job()
    await turns(scheduler)
    await stage.age(job, 601)
    await turns(scheduler)
    assert (await stage.get(job)).reason == ("did not become ready in 600 s; it printed nothing")


async def test_passing_trouble_of_the_target_passes(stage, scheduler, driver):
    driver.troubles = 2
    job = await stage.job()
    await turns(scheduler, 8)
    assert await stage.state(job) == "running"
    assert len(driver.starts) == 1


async def test_the_last_lines_are_kept_before_the_job_is_called_stopped(stage, scheduler, driver):
    job = await running(stage, scheduler)
    driver.may_stop.clear()
    await stage.say(JobStopping(job=job))
    await scheduler.turn()
    driver.say(Replica(job, 1), "bye")
    async with asyncio.timeout(20):
        while await stage.lines(job) != ["bye"]:
            await asyncio.sleep(0.01)
    assert await stage.state(job) == "stopping"
    driver.may_stop.set()
    await scheduler.settle()
    assert await stage.state(job) == "stopped"


async def test_what_is_unknown_is_stopped(stage, scheduler, driver):
    job = await running(stage, scheduler)
    workload = driver.workloads[Replica(job, 1)]
    stray = Replica(JobId("jstray"), 7)
    await driver.start(msgspec.structs.replace(workload, replica=stray))
    await turns(scheduler)
    assert list(driver.workloads) == [Replica(job, 1)]


async def test_S03_placed_by_a_scheduler_that_died_is_started_by_the_next(stage, database, driver):
    await stage.has(t4=1)
    job = await stage.job(gpus=1, types=["t4"])
    fact = JobPlaced(job=job, gpus=("process/t4-0",))
    assert await stage.jobs.place(fact)
    await turns(Scheduler(database, driver, target="process", options=AT_ONCE))
    assert await stage.state(job) == "running"
    assert await stage.held() == {"process/t4-0": Replica(job, 1)}


async def test_S04_started_by_a_scheduler_that_died_is_adopted(stage, database, driver):
    job = await stage.job()
    first = Scheduler(database, driver, target="process", options=AT_ONCE)
    await first.turn()
    await first.settle()
    assert await stage.state(job) == "starting"
    await turns(Scheduler(database, driver, target="process", options=AT_ONCE))
    assert await stage.state(job) == "running"
    assert driver.starts == [Replica(job, 1)]


async def test_stopped_by_a_scheduler_that_died_before_it_said_so(stage, scheduler, driver):
    await stage.has(t4=1)
    job = await running(stage, scheduler, gpus=1, types=["t4"])
    await stage.say(JobStopping(job=job))
    await driver.stop(Replica(job, 1), 0)
    await turns(scheduler)
    assert await stage.state(job) == "stopped"
    assert await stage.held() == {}


async def test_S06_a_new_scheduler_restarts_nothing_that_runs(stage, database, scheduler, driver):
    jobs = [await running(stage, scheduler) for _ in range(3)]
    await turns(Scheduler(database, driver, target="process", options=AT_ONCE))
    assert [await stage.state(job) for job in jobs] == ["running"] * 3
    assert len(driver.starts) == 3
    assert driver.stops == []


async def test_S12_a_stop_that_races_a_start_leaves_nothing(stage, scheduler, driver):
    """At each moment of a turn. Of these rounds some tens meet the job between its place and its
    start; the simulation's seeds count hundreds, and `make drill-scheduler` ten thousand."""
    await stage.has(t4=1)
    raced = 0
    for moment in range(ROUNDS):
        job = await stage.job(gpus=1, types=["t4"])

        async def stop(job=job, moment=moment):
            await asyncio.sleep(moment % 20 / 1000)
            assert await stage.say(JobStopping(job=job))

        await asyncio.gather(turns(scheduler, 1 + moment % 3), stop())
        await turns(scheduler, 3)
        assert await stage.state(job) == "stopped"
        assert driver.workloads == {}
        assert await stage.held() == {}
        facts = await stage.facts(job)
        raced += facts[facts.index("stopping") - 1] == "placed"
    assert raced >= ROUNDS / 20


async def test_S01_schedulers_at_once_never_share_a_gpu(stage, database, driver):
    await stage.has(t4=2)
    jobs = [await stage.job(gpus=1, types=["t4"]) for _ in range(6)]
    several = [Scheduler(database, driver, target="process", options=AT_ONCE) for _ in range(3)]
    for _ in range(12):
        await asyncio.gather(*(turns(each, 1) for each in several))
        for job in jobs:
            if await stage.state(job) == "running":
                await stage.say(JobStopping(job=job))
    assert {await stage.state(job) for job in jobs} <= {"stopped"}
    overlaps = await stage.database.value(
        "SELECT count(*) FROM allocations AS a JOIN allocations AS b"
        " ON a.gpu = b.gpu AND a.seq < b.seq AND b.held_at < a.released_at"
    )
    assert overlaps == 0


async def test_a_job_that_another_places_during_a_look_keeps_its_gpus(
    stage, scheduler, driver, monkeypatch
):
    await stage.has(rtx3090=1)
    job = await stage.job(gpus=1)
    # the look at the jobs takes so long that a scheduler which lost its lock still places one
    slow = store.AT_WORK.rstrip().removesuffix(";")
    slow = f"SELECT works.* FROM (SELECT pg_sleep(0.5)) AS wait, ({slow}) AS works"
    monkeypatch.setattr(store, "AT_WORK", slow)
    turning = asyncio.create_task(scheduler.turn())
    await asyncio.sleep(0.2)
    await stage.jobs.place(JobPlaced(job=job, attempt=1, gpus=("process/rtx3090-0",)))
    await turning
    await scheduler.settle()
    assert await stage.held() == {"process/rtx3090-0": Replica(job, 1)}


@pytest.mark.parametrize("change", ["present = false", "unproven = true", "quarantine = 'Xid 79'"])
async def test_a_gpu_that_went_out_during_a_look_is_given_to_nobody(stage, change):
    await stage.has(rtx3090=2)
    out, sound = "process/rtx3090-0", "process/rtx3090-1"
    await stage.database.execute(f"UPDATE gpus SET {change} WHERE id = $1", out)
    job = await stage.job(gpus=1)
    assert not await stage.jobs.place(JobPlaced(job=job, attempt=1, gpus=(out,)))
    assert await stage.jobs.place(JobPlaced(job=job, attempt=1, gpus=(sound,)))
    await stage.database.execute("UPDATE jobs SET copies = 2 WHERE id = $1", job)
    assert not await stage.jobs.grow(JobScaled(job=job, attempt=1, copies=2), 1, [out])
    assert await stage.held() == {sound: Replica(job, 1)}


async def test_S16_nothing_is_written_when_nothing_has_changed(stage, scheduler, driver):
    await stage.has(t4=1)
    first = await running(stage, scheduler, gpus=1, types=["t4"])
    await stage.job(gpus=1, types=["t4"])
    await stage.job(gpus=9, types=["t4"])
    driver.crash(Replica(first, 1), exit_code=0)
    await turns(scheduler)
    before = await stage.written()
    await turns(scheduler)
    assert await stage.written() == before


async def test_it_acts_on_news_and_finishes_when_told_to_stop(stage, scheduler, driver):
    stopping = asyncio.Event()
    acting = asyncio.create_task(scheduler.act(stopping, every=3600))
    job = await stage.job()
    await scheduler.on_event(ANY_EVENT)
    async with asyncio.timeout(20):
        while await stage.state(job) != "running":
            await asyncio.sleep(0.01)
    driver.say(Replica(job, 1), "hello")
    async with asyncio.timeout(20):
        while await stage.lines(job) != ["hello"]:
            await asyncio.sleep(0.01)
    stopping.set()
    async with asyncio.timeout(5):
        await acting
    assert list(driver.workloads) == [Replica(job, 1)]


@pytest.mark.parametrize("over", [JobStopping, JobFailed])
async def test_S05_the_gpus_of_what_is_cut_off_are_given_to_nobody_until_its_stop_is_proven(
    stage, database, scheduler, driver, monkeypatch, over
):
    await stage.has(t4=1)
    bystander = await running(stage, scheduler)
    holder = await running(stage, scheduler, gpus=1)
    second = await stage.job(gpus=1)
    tries = []

    async def unheard(replica, grace):
        tries.append(replica)
        raise Transient("its machine does not answer")

    async def away():
        raise Transient("the target does not answer")

    await stage.say(over(job=holder, **({"reason": "x"} if over is JobFailed else {})))
    state = await stage.state(holder)
    for _ in range(2):  # the second knows nothing of what the first was told
        scheduler = Scheduler(database, driver, target="process", options=AT_ONCE)
        for name, trouble in (("stop", unheard), ("observe", away)):
            with monkeypatch.context() as patched:
                patched.setattr(driver, name, trouble)
                for _ in range(3):
                    with suppress(Transient):
                        await scheduler.turn()
                    await scheduler.settle()
                    await stage.later(holder, 60.0)
            assert await stage.held() == {"process/t4-0": Replica(holder, 1)}
            assert (await stage.state(holder), await stage.state(second)) == (state, "queued")
    assert (set(tries), len(driver.starts)) == ({Replica(holder, 1)}, 2)
    assert await stage.state(bystander) == "running"
    await turns(scheduler)
    assert driver.stops == [Replica(holder, 1)]
    assert await stage.held() == {"process/t4-0": Replica(second, 1)}
    assert await stage.state(second) == "running"


async def test_what_takes_long_is_left_when_told_to_stop_and_begun_again_by_who_acts_next(
    stage, scheduler, driver, monkeypatch
):
    """Such as the pull of an image: until it has returned nobody acts, not even itself again."""
    monkeypatch.setattr("services.scheduler.scheduler.LEAVE", 0.1)
    driver.may_start.clear()
    job = await stage.job()
    await scheduler.turn()
    stopping = asyncio.Event()
    stopping.set()
    async with asyncio.timeout(20):
        await scheduler.act(stopping)
    assert await stage.state(job) == "starting"
    driver.may_start.set()
    await turns(scheduler)
    assert (await stage.state(job), len(driver.starts)) == ("running", 1)


async def test_while_its_target_is_away_it_says_so_and_decides_nothing(
    stage, database, monkeypatch
):
    driver = FakeDriver()
    scheduler = Scheduler(database, driver, target="process", options=AT_ONCE)
    job = await running(stage, scheduler)
    looks, there = [], driver.observe

    async def away():
        looks.append(1)
        raise Transient("the API server is away")

    monkeypatch.setattr(driver, "observe", away)
    stopping = asyncio.Event()
    acting = asyncio.create_task(scheduler.act(stopping, every=0.01))
    late = await stage.job()
    async with asyncio.timeout(20):
        while scheduler.trouble is None or len(looks) < 5:
            await scheduler.on_event(ANY_EVENT)
            await asyncio.sleep(0.01)
    assert scheduler.trouble == "the API server is away"
    assert (await stage.state(job), await stage.state(late)) == ("running", "queued")
    monkeypatch.setattr(driver, "observe", there)
    async with asyncio.timeout(20):
        while await stage.state(late) != "running":
            await asyncio.sleep(0.01)
    assert scheduler.trouble is None
    stopping.set()
    await acting
    assert (driver.stops, len(driver.starts)) == ([], 2)


async def test_what_was_in_hand_when_a_look_began_is_left_alone(stage, scheduler, driver):
    job = await running(stage, scheduler)
    driver.may_stop.clear()
    await stage.say(JobStopping(job=job))
    await scheduler.turn()
    driver.may_look.clear()
    look = asyncio.create_task(scheduler.turn())  # its picture still shows the replica
    await asyncio.sleep(0)
    driver.may_stop.set()
    await scheduler.settle()
    driver.may_look.set()
    await look
    await scheduler.settle()
    assert driver.stops == [Replica(job, 1)]


async def test_a_start_that_had_to_wait_looks_again_whether_it_is_wanted(stage, scheduler, driver):
    driver.may_start.clear()
    first = [await stage.job() for _ in range(STARTS)]
    late = await stage.job()
    await scheduler.turn()
    for fact in (JobStopping(job=late), JobStopped(job=late), JobRestarted(job=late)):
        assert await stage.say(fact)  # by another scheduler
    assert await stage.jobs.place(JobPlaced(job=late, attempt=2))
    driver.may_start.set()
    await scheduler.settle()
    assert sorted(driver.starts) == sorted(Replica(job, 1) for job in first)
    await turns(scheduler)
    assert Replica(late, 2) in driver.workloads
