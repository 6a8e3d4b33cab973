"""Models that listen and have to say that they serve, with real gRPC servers."""

from __future__ import annotations

import asyncio

import pytest

from services.scheduler.driver import Phase, Replica
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy, Work
from services.scheduler.scheduler import Scheduler
from services.scheduler.status import LONGEST, Patience, Statuses
from shared import doorman
from shared.address import Address
from shared.database.pool import Database
from shared.events import JobStopping
from shared.ids import JobId
from shared.lifecycle import State
from shared.unary.status import Away, NotServing, Serving
from tests.scheduler.assembly import Applied
from tests.scheduler.runtime import NOT_SERVING, SERVING, UNKNOWN, Runtime

NOBODY = Address("http://127.0.0.1:1")
AT_ONCE = Patience(again=0.0, every=0.0, answer=20.0)
PAST = Patience(again=0.0, every=0.0, answer=20.0, deadline=0.0)


@pytest.fixture
async def stage(database: Database) -> Applied:
    stage = Applied(database)
    await stage.prepare()
    return stage


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver(becomes=Phase.STARTING)


def acting(database, driver, patience=AT_ONCE, **more):
    options = Options(policy=Policy(drain=0.0), again_after=0.0, patience=patience)
    return Scheduler(database, driver, target="process", options=options, **more)


async def turns(scheduler, count=4):
    for _ in range(count):
        await scheduler.turn()
        await scheduler.settle()


async def listening(stage, driver, scheduler, *addresses):
    """A servable whose port is open."""
    app = await stage.apply("claims", {await stage.model("one"): 100})
    (job,) = await stage.servables(app, 1)
    await turns(scheduler)
    assert await stage.state(job) == "starting"
    driver.show(Replica(job, 1), Phase.READY, addresses=addresses)
    await turns(scheduler)
    return job


@pytest.mark.parametrize("status", [SERVING, None], ids=["serving", "unimplemented"])
async def test_a_model_that_serves_has_started(stage, database, driver, status):
    with Runtime.serving(status) as runtime:
        job = await listening(stage, driver, acting(database, driver), runtime.address)
        found = await stage.get(job)
    assert (found.state, found.addresses, found.reason) == ("running", (runtime.address,), "")
    assert (await stage.facts(job))[-2:] == ["placed", "started"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(NOT_SERVING, "NOT_SERVING: loading"), (UNKNOWN, "UNKNOWN: loading")],
)
async def test_one_that_does_not_serve_yet_says_why_and_starts_later(
    stage, database, driver, status, reason
):
    scheduler = acting(database, driver)
    with Runtime.serving(status, "loading") as runtime:
        job = await listening(stage, driver, scheduler, runtime.address)
        found = await stage.get(job)
        assert (found.state, found.reason) == ("starting", reason)
        runtime.status = SERVING
        await turns(scheduler)
    found = await stage.get(job)
    assert (found.state, found.reason) == ("running", "")


async def test_all_of_its_copies_have_to_serve(stage, database, driver):
    scheduler = acting(database, driver)
    with Runtime.serving() as one, Runtime.serving(NOT_SERVING, "loading") as two:
        job = await listening(stage, driver, scheduler, one.address, two.address)
        assert await stage.state(job) == "starting"
        two.status = SERVING
        await turns(scheduler)
    assert await stage.state(job) == "running"


@pytest.mark.parametrize("there", [True, False], ids=["not serving", "away"])
async def test_one_that_never_serves_fails_as_its_users_know_it(stage, database, driver, there):
    with Runtime.serving(NOT_SERVING, "no func_main") as runtime:
        address = runtime.address if there else NOBODY
        job = await listening(stage, driver, acting(database, driver, PAST), address)
    found = await stage.get(job)
    assert found.state == "failed"
    assert found.reason.startswith("Ping timeout exceeded. Info: ")
    assert "NOT_SERVING: no func_main" in found.reason or not there


async def test_one_that_hangs_holds_up_nobody_else(stage, database, driver):
    scheduler = acting(database, driver)
    app = await stage.apply("claims", {await stage.model("one"): 100})
    (job,) = await stage.servables(app, 1)
    await turns(scheduler)
    with Runtime.serving() as runtime:
        runtime.may_answer.clear()
        driver.show(Replica(job, 1), Phase.READY, addresses=(runtime.address,))
        await scheduler.turn()
        driver.becomes = Phase.READY
        other = await stage.job()
        async with asyncio.timeout(20):
            while await stage.state(other) != "running":
                await scheduler.turn()
                await asyncio.sleep(0.01)
        assert await stage.state(job) == "starting"
        runtime.may_answer.set()
        await scheduler.settle()
    assert await stage.state(job) == "running"


async def test_one_that_is_to_stop_while_it_is_asked_does_not_start(stage, database, driver):
    scheduler = acting(database, driver)
    app = await stage.apply("claims", {await stage.model("one"): 100})
    (job,) = await stage.servables(app, 1)
    await turns(scheduler)
    with Runtime.serving() as runtime:
        runtime.may_answer.clear()
        driver.show(Replica(job, 1), Phase.READY, addresses=(runtime.address,))
        await scheduler.turn()
        await stage.say(JobStopping(job=job))
        runtime.may_answer.set()
        await turns(scheduler)
    assert await stage.state(job) == "stopped"
    assert "started" not in await stage.facts(job)


async def test_what_a_running_model_says_is_shown_and_ends_nothing(stage, database, driver):
    scheduler = acting(database, driver)
    with Runtime.serving() as runtime:
        job = await listening(stage, driver, scheduler, runtime.address)
        runtime.status, runtime.message = NOT_SERVING, "its disk is full"
        await until(stage, scheduler, job, "NOT_SERVING: its disk is full")
        found = await stage.get(job)
        assert (found.state, found.addresses) == ("running", (runtime.address,))
        runtime.status = SERVING
        await until(stage, scheduler, job, "")
    assert await stage.state(job) == "running"
    await scheduler._statuses.drop()


async def until(stage, scheduler, job, reason):
    async with asyncio.timeout(20):
        while (await stage.get(job)).reason != reason:
            await turns(scheduler, 1)
            await asyncio.sleep(0.01)


async def test_a_job_that_is_no_model_is_never_asked(stage, database, driver):
    async def ask(address, secrets, seconds):
        raise AssertionError(address)

    driver.becomes = Phase.READY
    scheduler = acting(database, driver, ask=ask)
    job = await stage.job()
    await turns(scheduler)
    assert await stage.state(job) == "running"


REPLICA = Replica(JobId("j1"), 2)


def statuses(ask, changed=lambda: None, **more):
    return Statuses(ask, changed=changed, **more)


def running(**changes):
    values = {
        "job": REPLICA.job,
        "attempt": REPLICA.attempt,
        "state": State.RUNNING,
        "restarts": 0,
        "age": 1.0,
        "addresses": (NOBODY,),
        "model": True,
    }
    return Work(**values | changes)


async def test_a_doorman_is_asked_with_the_secret_of_every_key():
    heard = []

    async def ask(address, secrets, seconds):
        heard.append(secrets)
        return Serving()

    keys = ("k" * 32, "l" * 32)
    assert await statuses(ask, keys=keys).why_not(REPLICA, [NOBODY]) == ""
    assert heard == [[doorman.secret(key, "j1", 2) for key in keys]]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Away("It refuses connections."), "It refuses connections."),
        (NotServing("\x1b[31mred\x00" + "x" * 10_000), "red" + "x" * (LONGEST - 3)),
        (NotServing("\x00"), "it does not serve"),
    ],
)
async def test_what_it_says_is_made_fit_for_people(answer, why):
    changed = []

    async def ask(address, secrets, seconds):
        return answer

    found = statuses(ask, changed=lambda: changed.append(True))
    assert await found.why_not(REPLICA, [NOBODY]) == why
    assert found.unwell == {REPLICA: why}
    await found.why_not(REPLICA, [NOBODY])
    assert changed == [True], "it is told once"
    found.forget([])
    assert (found.unwell, found.waited(REPLICA)) == ({}, 0.0)


async def test_one_that_runs_is_asked_now_and_then_and_once_at_a_time():
    asked, gate = [], asyncio.Event()

    async def ask(address, secrets, seconds):
        asked.append(address)
        await gate.wait()
        return Serving()

    eager = statuses(ask, patience=Patience(every=0.0))
    for _ in range(3):
        eager.watch([running()])
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asked) == 1
    await eager.drop()
    calm = statuses(ask, patience=Patience(every=3600.0))
    gate.set()
    for _ in range(3):
        calm.watch([running()])
        await asyncio.sleep(0.01)
    assert len(asked) == 2
    for other in (running(model=False), running(state=State.STARTING), running(addresses=())):
        calm.watch([other])
    await asyncio.sleep(0.01)
    assert len(asked) == 2


async def test_a_fault_in_asking_ends_nothing_else(caplog):
    async def ask(address, secrets, seconds):
        raise ValueError("a bug")

    found = statuses(ask, patience=Patience(every=0.0))
    found.watch([running()])
    await asyncio.sleep(0.01)
    await found.drop()
    assert "could not ask j1-2" in caplog.text
