"""Whatever is decided in an epoch that is over is refused where it is written."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from services.scheduler.deadlines import Deadlines
from services.scheduler.driver import Replica
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.epoch import Deposed, Epoch
from services.scheduler.performer import Options
from services.scheduler.queue.values import Yielding
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from services.scheduler.store import Store
from services.scheduler.told import Line
from shared.database.jobs import PostgresJobs, advance
from shared.database.pool import Database
from shared.events import (
    JobFailed,
    JobMoved,
    JobPlaced,
    JobRepaired,
    JobScaled,
    JobStarted,
)
from tests.scheduler.stage import Stage

OPTIONS = Options(policy=Policy(drain=0.0), again_after=0.0)
TAKE = (
    "INSERT INTO leaders (target, epoch) VALUES ('process', 1)"
    " ON CONFLICT (target) DO UPDATE SET epoch = leaders.epoch + 1 RETURNING epoch"
)


@pytest.fixture
async def stage(database: Database) -> Stage:
    stage = Stage(database)
    await stage.prepare()
    await stage.has(t4=3)
    return stage


async def taken(database):
    """An epoch that has just begun."""
    epoch = Epoch("process")
    epoch.number = await database.value(TAKE)
    return epoch


def writes(stage, epoch, running, queued):
    """All that a scheduler writes of jobs, by name."""
    database = stage.database
    jobs, store = PostgresJobs(database, epoch), Store(database, "process", epoch)
    due = Deadlines(database, epoch)
    more = JobScaled(job=running, copies=2)
    warning = Yielding(job=running, attempt=1, to=queued, reason="")
    line = Line(replica=Replica(queued, 1), reason="so")
    return {
        "place": jobs.place(JobPlaced(job=queued, gpus=("process/t4-2",))),
        "place all": jobs.place_all([JobPlaced(job=queued, gpus=("process/t4-2",))]),
        "grow": jobs.grow(more, 1, ("process/t4-1",)),
        "shrink": jobs.shrink(running, 1, 1, 2),
        "advance": jobs.advance(JobFailed(job=running, reason="")),
        "moved": jobs.moved(JobMoved(job=running, addresses=("http://127.0.0.1:9",))),
        "tell": jobs.tell(JobRepaired(job=running, what="")),
        "release": jobs.release(running, 1),
        "ended": store.ended(Replica(running, 1)),
        "explain": store.explain([line]),
        "count": store.count({Replica(running, 1): 5}),
        "warn": due.warn([warning], 30.0),
        "let off": due.let_off([running]),
        "meet": due.meet(),
    }


NAMES = (
    *("place", "place all", "grow", "shrink", "advance", "moved", "tell", "release", "ended"),
    *("explain", "count", "warn", "let off", "meet"),
)


@pytest.mark.parametrize("write", NAMES)
async def test_S02_a_late_write_is_refused(stage, database, write):
    epoch = await taken(database)
    running = await stage.job(gpus=1, copies=2, preemptible=True, run_at_most=600.0)
    queued = await stage.job(gpus=1)
    place = JobPlaced(job=running, gpus=("process/t4-0", "process/t4-1"), copies=2)
    assert await PostgresJobs(database, epoch).place(place)
    assert await PostgresJobs(database, epoch).advance(JobStarted(job=running, address="http://x"))
    if write == "shrink":
        await stage.scale(running, 1)
    if write == "grow":
        await stage.scale(running, 1)
        await stage.jobs.shrink(running, 1, 1, 2)
        await stage.scale(running, 2)
    if write == "let off":
        await database.execute("UPDATE jobs SET give_way_at = now() WHERE id = $1", running)
    if write == "meet":
        await stage.later(running, 601.0)
    before = await stage.written()
    late = Epoch("process")
    late.number, others = epoch.number, writes(stage, epoch, running, queued)
    await taken(database)  # while the other stood still, after it chose
    for name, each in others.items():
        if name == write:
            try:
                done = await each
                assert not (done.total() if isinstance(done, Counter) else done)
            except Deposed:
                assert write == "ended"
        else:
            each.close()
    assert await stage.written() == before
    # it is the epoch alone that refused it
    again = Epoch("process")
    again.number = await database.value("SELECT epoch FROM leaders")
    for name, each in writes(stage, again, running, queued).items():
        if name == write:
            await each
        else:
            each.close()
    assert await stage.written() != before


async def test_a_newer_epoch_begins_only_after_what_is_being_written(stage, database):
    epoch = await taken(database)
    job = await stage.job(queued=False)
    async with database.transaction() as connection:
        assert await advance(connection, JobFailed(job=job, reason="x"), epoch())
        newer = asyncio.create_task(database.value(TAKE))
        while not await database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.01)
        assert not newer.done()
    assert await newer == 2
    assert await stage.state(job) == "failed"


async def test_what_waited_for_the_newer_epoch_to_begin_is_refused(stage, database):
    epoch = await taken(database)
    job = await stage.job(queued=False)
    async with database.transaction() as connection:
        await connection.fetchval(TAKE)
        late = asyncio.create_task(
            PostgresJobs(database, epoch).advance(JobFailed(job=job, reason="x"))
        )
        while not await database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.01)
    assert not await late
    assert await stage.state(job) == "building"


async def test_who_was_deposed_finds_out_at_its_next_look(stage, database):
    epoch = await taken(database)
    scheduler = Scheduler(database, FakeDriver(), target="process", options=OPTIONS, epoch=epoch)
    job = await stage.job(gpus=1)
    await taken(database)
    with pytest.raises(Deposed):
        await scheduler.turn()
    assert await stage.state(job) == "queued"


async def test_S02_one_that_stood_still_between_its_choice_and_its_write_places_nothing(
    stage, database, monkeypatch
):
    driver, (first, second) = FakeDriver(), [await stage.job(gpus=3) for _ in "ab"]
    paused = Scheduler(
        database, driver, target="process", options=OPTIONS, epoch=await taken(database)
    )
    chosen, go_on = asyncio.Event(), asyncio.Event()
    place_all = PostgresJobs.place_all

    async def stands_still(self, facts):
        chosen.set()
        await go_on.wait()
        return await place_all(self, facts)

    monkeypatch.setattr(PostgresJobs, "place_all", stands_still)
    late = asyncio.create_task(paused.turn())
    await chosen.wait()
    monkeypatch.undo()
    other = Scheduler(
        database, driver, target="process", options=OPTIONS, epoch=await taken(database)
    )
    await stage.database.execute("UPDATE jobs SET priority = 100 WHERE id = $1", second)
    for _ in range(3):
        await other.turn()
        await other.settle()
    before = await stage.facts(first)
    go_on.set()
    await late
    await paused.settle()
    assert (await stage.state(first), await stage.state(second)) == ("queued", "running")
    assert await stage.facts(first) == before
