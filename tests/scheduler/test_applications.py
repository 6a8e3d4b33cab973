"""Applications with a real PostgreSQL: settled once, whoever dies or comes too late."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest

from services.scheduler.applications import WAKE, Applications
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.database import applications
from shared.database.pool import Database
from shared.errors import Transient
from shared.events import (
    ApplicationFailed,
    ApplicationReady,
    ApplicationSubmitted,
    Event,
    JobFailed,
    JobPlaced,
    JobRestarted,
    JobStarted,
    JobStopped,
    JobStopping,
)
from shared.unary.status import Serving
from tests.scheduler.assembly import Applied

NEWS = Event(
    id="e1",
    source="/",
    type=ApplicationSubmitted.type,
    subject="a1",
    time=datetime.now(UTC),
    data=msgspec.Raw(b"{}"),
)


@pytest.fixture
async def stage(database: Database) -> Applied:
    stage = Applied(database)
    await stage.prepare()
    return stage


@pytest.fixture
def keeper(database: Database) -> Applications:
    return Applications(database, target="process", retire=0.0)


async def run(stage, *jobs):
    for job in jobs:
        attempt = (await stage.get(job)).attempt
        await stage.say(JobPlaced(job=job, attempt=attempt))
        await stage.say(JobStarted(job=job, attempt=attempt, address="http://127.0.0.1:1"))


async def turn(keeper):
    await keeper.settle()
    await keeper.end()


async def fail(stage, job, reason="crash loop"):
    attempt = (await stage.get(job)).attempt
    assert await stage.say(JobFailed(job=job, attempt=attempt, reason=reason))


async def stopped(stage, *jobs):
    for job in jobs:
        assert await stage.say_now(JobStopped, job)


async def answering(stage, keeper, *stages):
    """An application whose first revision answers, and its jobs."""
    app = await stage.apply("claims", *stages)
    jobs = await stage.servables(app, 1)
    await run(stage, *jobs)
    await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live) == ("ready", 1)
    return app, jobs


async def test_it_is_ready_when_all_of_its_servables_run(stage, keeper):
    one, two = await stage.model("one"), await stage.model("two")
    app = await stage.apply("claims", {one: 100}, {two: 100})
    first, second = await stage.servables(app, 1)
    await run(stage, first)
    await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live) == ("assembling", None)
    await run(stage, second)
    await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live, app.reason) == ("ready", 1, "")
    assert await stage.told(app) == ["submitted", "ready"]


async def test_one_that_can_not_start_fails_it_with_the_name_and_the_reason(stage, keeper):
    one, two = await stage.model("one"), await stage.model("two")
    app = await stage.apply("claims", {one: 80, two: 20})
    first, second = await stage.servables(app, 1)
    await run(stage, first)
    await fail(stage, second, "Ping timeout exceeded. Info: loading")
    await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live) == ("failed", None)
    assert app.reason == f"model-{two}:1: Ping timeout exceeded. Info: loading"
    assert await stage.told(app) == ["submitted", "failed"]
    assert await stage.state(first) == "running", "it may be looked at until something replaces it"


async def test_the_old_revision_answers_until_the_new_one_can(stage, keeper):
    one, two = await stage.model("one"), await stage.model("two")
    app, (old,) = await answering(stage, keeper, {one: 100})
    app = await stage.apply("claims", {two: 100})
    assert (app.state, app.revision, app.live) == ("assembling", 2, 1)
    await turn(keeper)
    assert await stage.state(old) == "running"
    (new,) = await stage.servables(app, 2)
    await run(stage, new)
    await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live) == ("ready", 2)
    assert await stage.retired(app) == [1]
    await turn(keeper)
    assert await stage.state(old) == "stopping"
    await stopped(stage, old)
    await turn(keeper)
    assert (await stage.state(old), await stage.state(new)) == ("terminated", "running")
    assert (await stage.facts(old))[-3:] == ["stopping", "stopped", "terminated"]


async def test_what_both_revisions_need_is_not_stopped(stage, keeper):
    one, two, three = [await stage.model(name) for name in ("one", "two", "three")]
    app, (kept, left) = await answering(stage, keeper, {one: 100}, {two: 100})
    app = await stage.apply("claims", {one: 50, three: 50})
    assert (await stage.servables(app, 2))[0] == kept
    await run(stage, (await stage.servables(app, 2))[1])
    for _ in range(3):
        await turn(keeper)
    assert (await stage.application(app.id)).live == 2
    assert (await stage.state(kept), await stage.state(left)) == ("running", "stopping")


async def test_routers_that_have_not_heard_may_still_ask_the_old_one(stage, database, keeper):
    one, two = await stage.model("one"), await stage.model("two")
    slow = Applications(database, target="process", retire=15.0)
    app, (old,) = await answering(stage, slow, {one: 100})
    app = await stage.apply("claims", {two: 100})
    await run(stage, *await stage.servables(app, 2))
    for _ in range(3):
        await turn(slow)
    assert (await stage.application(app.id)).live == 2
    assert await stage.state(old) == "running"
    await database.execute("UPDATE revisions SET retired_at = retired_at - interval '15 s'")
    await turn(slow)
    assert await stage.state(old) == "stopping"


async def test_applied_again_while_it_assembles_only_the_newest_counts(stage, keeper):
    one, two, three = [await stage.model(name) for name in ("one", "two", "three")]
    app, (live,) = await answering(stage, keeper, {one: 100})
    app = await stage.apply("claims", {two: 100})
    (second,) = await stage.servables(app, 2)
    app = await stage.apply("claims", {three: 100})
    (third,) = await stage.servables(app, 3)
    await run(stage, second)
    await turn(keeper)
    await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live) == ("assembling", 1)
    assert await stage.retired(app) == [2]
    assert [await stage.state(job) for job in (live, second)] == ["running", "stopping"]
    await run(stage, third)
    await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live) == ("ready", 3)
    assert await stage.told(app) == ["submitted", "ready", "submitted", "submitted", "ready"]


async def test_a_failed_revision_leaves_the_one_that_answers_alone(stage, keeper):
    one, two = await stage.model("one"), await stage.model("two")
    app, (live,) = await answering(stage, keeper, {one: 100})
    app = await stage.apply("claims", {two: 100})
    (second,) = await stage.servables(app, 2)
    await fail(stage, second)
    for _ in range(3):
        await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live, await stage.retired(app)) == ("failed", 1, [])
    assert (await stage.state(live), await stage.state(second)) == ("running", "failed")
    app = await stage.apply("claims", {one: 100})
    assert await stage.servables(app, 3) == (live,)
    for _ in range(2):
        await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live, app.reason) == ("ready", 3, "")
    assert (await stage.state(live), await stage.state(second)) == ("running", "terminated")


async def test_a_revision_without_hope_gives_its_servables_back(stage, keeper, database):
    one, two, three = [await stage.model(name) for name in ("one", "two", "three")]
    app, (live,) = await answering(stage, keeper, {one: 100})
    app = await stage.apply("claims", {one: 50, two: 25, three: 25})
    shared, well, bad = await stage.servables(app, 2)
    assert shared == live
    await run(stage, well)
    await fail(stage, bad)
    for _ in range(3):
        await turn(keeper)
    assert await stage.state(well) == "running", "it may be looked at for a while"
    impatient = Applications(database, target="process", retire=0.0, hopeless=0.0)
    for _ in range(2):
        await turn(impatient)
    assert [await stage.state(job) for job in (live, well, bad)] == [
        "running",
        "stopping",
        "failed",
    ]
    await stopped(stage, well)
    for _ in range(3):
        await turn(impatient)
    assert [await stage.state(job) for job in (live, well, bad)] == [
        "running",
        "terminated",
        "failed",
    ]
    app = await stage.application(app.id)
    assert (app.state, app.live, app.reason) == ("failed", 1, f"model-{three}:1: crash loop")
    assert await stage.told(app) == ["submitted", "ready", "submitted", "failed"]
    app = await stage.apply("claims", {one: 100})
    for _ in range(2):
        await turn(impatient)
    app = await stage.application(app.id)
    assert (app.state, app.live) == ("ready", 3)
    assert [await stage.state(job) for job in (live, bad)] == ["running", "terminated"]


async def test_one_that_may_run_again_is_not_without_hope(stage, database):
    one = await stage.model("one")
    app = await stage.apply("claims", {one: 100})
    (job,) = await stage.servables(app, 1)
    await run(stage, job)
    await stage.say_now(JobStopping, job)
    await stopped(stage, job)
    impatient = Applications(database, target="process", retire=0.0, hopeless=0.0)
    for _ in range(2):
        await turn(impatient)
    assert (await stage.application(app.id)).state == "failed"
    assert await stage.state(job) == "stopped"


async def test_a_servable_of_a_live_application_that_fails_is_told_and_replaced(stage, keeper):
    one, two = await stage.model("one"), await stage.model("two")
    app, (first, second) = await answering(stage, keeper, {one: 80, two: 20})
    await fail(stage, second)
    await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live) == ("failed", 1)
    assert app.reason == f"model-{two}:1: crash loop"
    assert await stage.state(first) == "running"
    app = await stage.apply("claims", {one: 80, two: 20}, anew=[two])
    await run(stage, (await stage.servables(app, 2))[1])
    for _ in range(2):
        await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live, app.reason) == ("ready", 2, "")
    assert (await stage.state(first), await stage.state(second)) == ("running", "terminated")


async def test_it_recovers_when_what_an_operator_ended_runs_again(stage, keeper):
    app, (job,) = await answering(stage, keeper, {await stage.model("one"): 100})
    await stage.say(JobStopping(job=job))
    await turn(keeper)
    assert "its job was ended" in (await stage.application(app.id)).reason
    await stopped(stage, job)
    await stage.say(JobRestarted(job=job))
    await turn(keeper)
    assert (await stage.application(app.id)).state == "failed"
    await run(stage, job)
    await turn(keeper)
    app = await stage.application(app.id)
    assert (app.state, app.live, app.reason) == ("ready", 1, "")
    assert await stage.told(app) == ["submitted", "ready", "failed", "ready"]


async def test_a_servable_that_is_lost_and_starts_again_changes_nothing(stage, keeper, database):
    _, (job,) = await answering(stage, keeper, {await stage.model("one"): 100})
    await database.execute("UPDATE jobs SET state = 'queued', attempt = 2 WHERE id = $1", job)
    before = await stage.all_written()
    await turn(keeper)
    assert await stage.all_written() == before


async def test_removed_while_it_assembles_nothing_is_left(stage, keeper):
    one, two = await stage.model("one"), await stage.model("two", state="building")
    app = await stage.apply("claims", {one: 100}, {two: 100})
    first, second = await stage.servables(app, 1)
    await run(stage, first)
    assert await stage.remove(app)
    await turn(keeper)
    assert [await stage.state(job) for job in (first, second)] == ["stopping", "stopping"]
    await stopped(stage, first, second)
    await turn(keeper)
    assert [await stage.state(job) for job in (first, second)] == ["terminated", "terminated"]
    app = await stage.application(app.id)
    assert (app.state, app.live) == ("removed", None)
    assert await stage.told(app) == ["submitted", "removed"]
    again = await stage.apply("claims", {one: 100})
    assert (again.id != app.id, again.revision) == (True, 1)


async def test_a_removed_application_ends_its_servables_at_once(stage, database):
    keeper = Applications(database, target="process", retire=3600.0)
    app, (job,) = await answering(stage, keeper, {await stage.model("one"): 100})
    assert await stage.remove(app)
    assert not await stage.remove(app), "twice"
    await turn(keeper)
    assert await stage.state(job) == "stopping"


async def test_servables_that_people_made_by_themselves_are_theirs_to_end(stage, keeper, database):
    app, (job,) = await answering(stage, keeper, {await stage.model("one"): 100})
    await database.execute("UPDATE jobs SET application = NULL WHERE id = $1", job)
    await stage.remove(app)
    await turn(keeper)
    assert await stage.state(job) == "running"


async def test_applications_and_jobs_of_another_target_are_left_alone(stage, keeper):
    app = await stage.apply("claims", {await stage.model("one"): 100}, target="eu")
    jobs = await stage.servables(app, 1)
    await run(stage, *jobs)
    await turn(keeper)
    assert (await stage.application(app.id)).state == "assembling"
    await stage.remove(app)
    await turn(keeper)
    assert await stage.state(jobs[0]) == "running"


async def test_run_twice_with_no_change_it_writes_nothing(stage, keeper):
    one, two, bad = [await stage.model(name) for name in ("one", "two", "bad")]
    app, _ = await answering(stage, keeper, {one: 50, two: 50})
    app = await stage.apply("claims", {one: 100})
    other = await stage.apply("other", {bad: 100})
    waits = await stage.apply("waits", {two: 100})
    await fail(stage, *await stage.servables(other, 1))
    for _ in range(3):
        await turn(keeper)
    states = [(await stage.application(each.id)).state for each in (app, other, waits)]
    assert states == ["ready", "failed", "assembling"]
    before = await stage.all_written()
    for _ in range(3):
        await turn(keeper)
    assert await stage.all_written() == before


async def test_one_that_can_not_be_read_stops_no_other(stage, keeper, database, caplog):
    one, two = await stage.model("one"), await stage.model("two")
    odd = await stage.apply("odd", {one: 100})
    app = await stage.apply("claims", {two: 100})
    await database.execute(
        "UPDATE revisions SET graph = $2::jsonb WHERE application = $1",
        odd.id,
        {"stages": [{"variants": [7, {"model": None}]}]},
    )
    await run(stage, *await stage.servables(app, 1))
    await turn(keeper)
    assert (await stage.application(app.id)).state == "ready"
    assert (await stage.application(odd.id)).state == "assembling"
    assert f"application {odd.id} is left as it is" in caplog.text


async def test_of_keepers_that_act_at_once_each_thing_is_done_by_one(stage, database):
    keepers = [Applications(database, target="process", retire=0.0) for _ in range(4)]
    one, two = await stage.model("one"), await stage.model("two")
    app, (old,) = await answering(stage, keepers[0], {one: 100})
    app = await stage.apply("claims", {two: 100})
    await run(stage, *await stage.servables(app, 2))
    await asyncio.gather(*(turn(keeper) for keeper in keepers))
    await asyncio.gather(*(turn(keeper) for keeper in keepers))
    await stopped(stage, old)
    await asyncio.gather(*(turn(keeper) for keeper in keepers))
    assert await stage.told(app) == ["submitted", "ready", "submitted", "ready"]
    assert (await stage.facts(old))[-3:] == ["stopping", "stopped", "terminated"]


async def test_who_comes_too_late_changes_nothing(stage, database, keeper):
    one, two = await stage.model("one"), await stage.model("two")
    app, _ = await answering(stage, keeper, {one: 100})
    about = {"application": app.id, "name": "claims"}
    app = await stage.apply("claims", {two: 100})
    before = await stage.all_written()
    async with database.connection() as late:
        assert not await applications.ready(late, ApplicationReady(**about, revision=1))
        assert not await applications.fail(
            late, ApplicationFailed(**about, revision=1, reason="old")
        )
        # though it is the newest, one of its servables does not run
        assert not await applications.ready(late, ApplicationReady(**about, revision=2))
        assert await stage.all_written() == before
        await stage.remove(app)
        assert not await applications.fail(
            late, ApplicationFailed(**about, revision=2, reason="late")
        )
    assert (await stage.application(app.id)).state == "removed"


class Mortal(Database):
    """Dies at its n-th statement: before it was carried out, or after it but unheard."""

    def __init__(self, database: Database, dies: int) -> None:
        super().__init__(database._pool)
        self.left = dies

    @asynccontextmanager
    async def connection(self):
        self._count()
        async with super().connection() as connection:
            yield connection
        self._count()

    def _count(self):
        self.left -= 1
        if self.left <= 0:
            raise Killed


class Killed(Exception):
    pass


@pytest.mark.parametrize("dies", range(1, 16))
async def test_killed_anywhere_the_next_one_goes_on(stage, database, keeper, dies):
    one, two, three = [await stage.model(name) for name in ("one", "two", "three")]
    app, (kept, old) = await answering(stage, keeper, {one: 50, two: 50})
    app = await stage.apply("claims", {one: 50, three: 50})
    await run(stage, (await stage.servables(app, 2))[1])
    bad = await stage.apply("bad", {two: 100})
    await fail(stage, *await stage.servables(bad, 1))
    mortal = Mortal(database, dies)
    short = Applications(mortal, target="process", retire=0.0)
    try:
        for _ in range(3):
            await turn(short)
    except Killed:
        pass
    for _ in range(3):
        await turn(keeper)
        if await stage.state(old) == "stopping":
            await stopped(stage, old)
    assert [await stage.state(job) for job in (kept, old)] == ["running", "terminated"]
    assert await stage.told(app) == ["submitted", "ready", "submitted", "ready"]
    assert await stage.told(bad) == ["submitted", "failed"]
    assert (await stage.facts(old))[-3:] == ["stopping", "stopped", "terminated"]
    assert await stage.retired(app) == [1]


async def test_news_wake_it_and_it_ends_when_told(stage, keeper):
    stopping = asyncio.Event()
    acting = asyncio.ensure_future(keeper.act(stopping, every=3600.0))
    app = await stage.apply("claims", {await stage.model("one"): 100})
    await run(stage, *await stage.servables(app, 1))
    async with asyncio.timeout(20):
        while (await stage.application(app.id)).state != "ready":
            await keeper.on_event(NEWS)
            await asyncio.sleep(0.02)
        stopping.set()
        await acting


async def test_while_the_tables_are_away_it_goes_on_trying(stage, keeper, monkeypatch, caplog):
    stopping, away, tried = asyncio.Event(), asyncio.Event(), []
    settle = keeper.settle

    async def shaky():
        tried.append(True)
        if not away.is_set():
            away.set()
            raise Transient("PostgreSQL: away")
        await settle()

    monkeypatch.setattr(keeper, "settle", shaky)
    acting = asyncio.ensure_future(keeper.act(stopping, every=0.01))
    async with asyncio.timeout(20):
        while len(tried) < 3:
            await asyncio.sleep(0.01)
        stopping.set()
        await acting
    assert "will look again" in caplog.text


def test_it_hears_of_whatever_may_settle_an_application():
    assert {ApplicationSubmitted, JobStarted, JobFailed, JobStopped, JobRestarted} <= {*WAKE}


async def test_from_its_submission_to_its_end_with_a_scheduler(stage, database, keeper):
    driver = FakeDriver()
    options = Options(policy=Policy(drain=0.0), again_after=0.0)

    async def serves(address, secrets, seconds):
        return Serving()

    scheduler = Scheduler(database, driver, target="process", options=options, ask=serves)

    async def turns():
        for _ in range(6):
            await scheduler.turn()
            await scheduler.settle()
            await turn(keeper)

    one, two = await stage.model("one"), await stage.model("two")
    app = await stage.apply("claims", {one: 100}, {two: 100})
    await turns()
    assert (await stage.application(app.id)).state == "ready"
    await stage.apply("claims", {one: 100})
    await turns()
    first, second = await stage.servables(app, 1)
    assert [await stage.state(job) for job in (first, second)] == ["running", "terminated"]
    assert {replica.job for replica in driver.workloads} == {first}
    await stage.remove(app)
    await turns()
    assert (await stage.state(first), driver.workloads) == ("terminated", {})
