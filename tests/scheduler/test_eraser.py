"""What jobs printed that are gone for good is forgotten: with a real PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from services.scheduler.eraser import AT_ONCE, Eraser
from shared.database import logs
from shared.database.logs import Line
from shared.database.pool import Database
from shared.events import Event, JobFailed, JobTerminated
from shared.ids import JobId
from tests.scheduler.stage import Stage

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Printed(Stage):
    async def job_that_failed(self, **options) -> JobId:
        job = await self.job(**options)
        await self.say(JobFailed(job=job, reason="over"))
        await self.prints(job, 1)
        return job

    async def prints(self, job: JobId, number: int) -> None:
        line = Line(line=number, at=AT, stream="stdout", text="secret")
        await logs.keep(self.database, job, 1, [line])

    async def terminated(self, **options) -> JobId:
        job = await self.job_that_failed(**options)
        assert await self.say(JobTerminated(job=job))
        return job


@pytest.fixture
async def stage(database: Database) -> Printed:
    stage = Printed(database)
    await stage.prepare()
    return stage


@pytest.fixture
def eraser(database: Database) -> Eraser:
    return Eraser(database, "process")


def told(job: JobId) -> Event:
    data = msgspec.Raw(b"{}")
    return Event(id="e1", source="/", type=JobTerminated.type, subject=job, time=AT, data=data)


async def test_a_terminated_job_leaves_no_log(stage, eraser):
    job, other = await stage.terminated(), await stage.terminated()
    await eraser.on_event(told(job))
    await eraser.erase()
    assert (await stage.lines(job), await stage.lines(other)) == ([], ["secret"])


async def test_one_that_nobody_told_of_is_swept_once(stage, database):
    eraser = Eraser(database, "process", late=0.0)
    jobs = [await stage.terminated() for _ in range(AT_ONCE + 1)]
    kept = await stage.job_that_failed()
    assert await eraser.erase(), "there are more"
    assert not await eraser.erase()
    assert [await stage.lines(job) for job in (*jobs, kept)] == [*([[]] * len(jobs)), ["secret"]]
    before = await stage.written()
    await eraser.erase()
    assert await stage.written() == before


async def test_it_is_not_swept_while_somebody_may_still_be_writing_its_lines(stage, eraser):
    job = await stage.terminated()
    await eraser.erase()
    assert await stage.lines(job) == ["secret"]
    await stage.age(job, 60.0)
    await eraser.erase()
    assert await stage.lines(job) == []


async def test_nothing_is_kept_any_more_of_one_that_is_gone_for_good(stage):
    job, other = await stage.terminated(), await stage.job_that_failed()
    for each in (job, other):
        await stage.prints(each, 2)
    assert (await stage.lines(job), await stage.lines(other)) == (["secret"], ["secret"] * 2)


async def test_others_are_left_alone_whoever_tells_of_them(stage, database):
    eraser = Eraser(database, "process", late=0.0)
    jobs = [await stage.terminated(target="eu"), await stage.job_that_failed()]
    for job in jobs:
        await eraser.on_event(told(job))
    await eraser.erase()
    assert [await stage.lines(job) for job in jobs] == [["secret"]] * 2


async def test_it_erases_as_soon_as_it_is_told(stage, eraser):
    job, stopping = await stage.terminated(), asyncio.Event()
    acting = asyncio.create_task(eraser.act(stopping))
    await asyncio.sleep(0.5)
    await eraser.on_event(told(job))
    async with asyncio.timeout(20):
        while await stage.lines(job):
            await asyncio.sleep(0.05)
        stopping.set()
        await acting
