from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import asyncpg

from services.scheduler.epoch import Epoch
from services.scheduler.leader import Leader


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


@asynccontextmanager
async def leading(url, act, epoch=None):
    stopping = asyncio.Event()
    leader = Leader(url, "process", act, every=0.05, epoch=epoch)
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
