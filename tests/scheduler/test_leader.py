from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest

from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.epoch import Epoch
from services.scheduler.leader import SILENCE, Leader
from services.scheduler.scheduler import Scheduler
from tests.scheduler.stage import Stage
from tests.scheduler.still import OPTIONS, still

LEADS = "SELECT epoch, holder FROM leaders WHERE target = 'process'"
TWICE = """
SELECT count(*) FROM allocations AS one JOIN allocations AS other
    ON one.gpu = other.gpu AND one.seq < other.seq
   AND one.held_at < coalesce(other.released_at, 'infinity')
   AND other.held_at < coalesce(one.released_at, 'infinity')
"""


class Act:
    """Remembers who acts."""

    def __init__(self):
        self.acting = 0
        self.most = 0
        self.times = 0
        self.changed = asyncio.Event()

    async def __call__(self, stopping):
        self.acting += 1
        self.times += 1
        self.most = max(self.most, self.acting)
        self.changed.set()
        await stopping.wait()
        self.acting -= 1

    async def began(self):
        async with asyncio.timeout(20):
            await self.changed.wait()
        self.changed.clear()


@pytest.fixture
async def stage(database):
    stage = Stage(database)
    await stage.prepare()
    return stage


@asynccontextmanager
async def leading(url, act, epoch=None, silence=SILENCE):
    stopping = asyncio.Event()
    leader = Leader(url, "process", act, every=0.05, epoch=epoch, silence=silence)
    task = asyncio.create_task(leader.loop(stopping))
    try:
        yield leader
    finally:
        stopping.set()
        async with asyncio.timeout(20):
            await task


async def cut(url):
    """End the sessions of all schedulers, as a failover or a network fault does."""
    admin = await asyncpg.connect(url)
    rows = await admin.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'slipway scheduler of %' AND datname = current_database()"
    )
    await admin.close()
    return len(rows)


async def test_of_two_one_acts_and_the_other_takes_over(database_url):
    act = Act()
    async with leading(database_url, act) as second:
        async with leading(database_url, act) as first:
            await act.began()
            assert [first.acting, second.acting].count(True) == 1
        await act.began() if not second.acting else None
        assert second.acting
    assert act.most == 1


async def test_who_loses_its_session_stops_acting_and_stands_by_again(database_url):
    act = Act()
    async with leading(database_url, act):
        await act.began()
        assert await cut(database_url) == 1
        await act.began()
    assert (act.most, act.times) == (1, 2)


async def test_targets_do_not_compete(database_url):
    acts = Act(), Act()
    stopping = asyncio.Event()
    loops = [
        asyncio.create_task(Leader(database_url, target, act, every=0.05).loop(stopping))
        for target, act in zip(("process", "kubernetes"), acts, strict=True)
    ]
    for act in acts:
        await act.began()
    stopping.set()
    await asyncio.gather(*loops)


async def test_it_stands_by_while_the_database_is_away():
    stopping = asyncio.Event()
    leader = Leader("postgresql://127.0.0.1:1/none", "process", Act(), every=0.01)
    task = asyncio.create_task(leader.loop(stopping))
    await asyncio.sleep(0.05)
    assert not task.done()
    stopping.set()
    await task


async def test_each_who_acts_begins_a_newer_epoch(database_url, database):
    act, epoch = Act(), Epoch("process")
    for number in (1, 2):
        async with leading(database_url, act, epoch):
            await act.began()
            assert epoch.number == number
    row = await database.row("SELECT epoch, holder FROM leaders WHERE target = 'process'")
    assert row["epoch"] == 2
    assert str(os.getpid()) in row["holder"]


async def test_who_learns_of_a_newer_epoch_stops_acting_though_it_has_the_lock(
    database_url, database
):
    act = Act()
    async with leading(database_url, act):
        await act.began()
        await database.execute("UPDATE leaders SET epoch = epoch + 1")
        await act.began()
    assert (act.most, act.times) == (1, 2)
    assert await database.value("SELECT epoch FROM leaders") == 3


async def test_who_was_told_to_stop_keeps_the_lock_until_what_it_has_in_hand_is_done(database_url):
    told, done, next_one = asyncio.Event(), asyncio.Event(), Act()

    async def slow(stopping):
        await stopping.wait()
        told.set()
        await done.wait()

    stopping = asyncio.Event()
    first = Leader(database_url, "process", slow, every=0.05, silence=2.0)
    task = asyncio.create_task(first.loop(stopping))
    while not first.acting:
        await asyncio.sleep(0.01)
    stopping.set()
    await told.wait()
    async with leading(database_url, next_one):
        await asyncio.sleep(3.0)  # for longer than PostgreSQL waits for a word of the first
        assert (first.acting, next_one.times) == (True, 0)
        done.set()
        await next_one.began()
        await task


async def until(told, wanted):
    async with asyncio.timeout(60):
        while not wanted(await told()):
            await asyncio.sleep(0.02)


async def leads(database, process):
    """Waits until that one does; the number of its epoch."""
    await until(
        lambda: database.row(LEADS), lambda row: row["holder"].endswith(f" {process.process.pid}")
    )
    return (await database.row(LEADS))["epoch"]


async def test_S02_one_that_stops_after_it_chose_is_followed_by_another_and_writes_nothing_late(
    database_url, database, stage
):
    await stage.has(t4=3)
    first, second = [await stage.job(gpus=3) for _ in "ab"]
    async with still(database_url, 1.0, "stop") as late:
        assert await late.says() == "chosen"
        await late.stopped()
        was = await leads(database, late)
        await database.execute("UPDATE jobs SET priority = 100 WHERE id = $1", second)
        epoch = Epoch("process")
        scheduler = Scheduler(
            database, FakeDriver(), target="process", options=OPTIONS, epoch=epoch
        )
        async with leading(database_url, partial(scheduler.act, every=0.1), epoch):
            await until(lambda: stage.state(second), lambda state: state == "running")
            before = await stage.facts(first)
            late.wake()
            assert await late.says() == "placed 0 of 1"
            assert epoch.number == was + 1
            assert (await stage.state(first), await stage.state(second)) == ("queued", "running")
            assert await stage.facts(first) == before
            assert {held.job for held in (await stage.held()).values()} == {second}
        assert await leads(database, late) == was + 2, "it stood for election anew"
        assert await database.value(TWICE) == 0
        assert await late.end() == 0


async def test_C06_one_that_is_held_up_keeps_its_lead_for_a_while_and_then_is_refused(
    database_url, database, stage
):
    other = Act()
    await stage.has(t4=2)
    async with still(database_url, 3.0, "block", "block") as held_up:
        job = await stage.job(gpus=1)
        assert await held_up.says() == "chosen"
        was = await leads(database, held_up)
        async with leading(database_url, other):
            await asyncio.sleep(1.0)  # less than PostgreSQL waits for it
            held_up.unblock()
            assert await held_up.says() == "placed 1 of 1"
            await until(lambda: stage.state(job), lambda state: state == "running")
            assert (other.times, await leads(database, held_up)) == (0, was)

            late = await stage.job(gpus=1)
            assert await held_up.says() == "chosen"
            await other.began()
            assert (await database.row(LEADS))["epoch"] == was + 1
            before = await stage.facts(late)
            held_up.unblock()
            assert await held_up.says() == "placed 0 of 1"
            # nobody else had that GPU, so it is the epoch that refused it
            assert (await stage.state(late), await stage.facts(late)) == ("queued", before)
        assert await leads(database, held_up) == was + 2
        await until(lambda: stage.state(late), lambda state: state == "running")
        assert await held_up.end() == 0
