"""What PostgreSQL may do to those who use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import asyncpg
import pytest

from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.database import jobs, pool
from shared.database.pool import Collided, Database
from shared.errors import Transient
from shared.events import JobPlaced, JobStopping
from shared.ids import JobId
from tests.scheduler.stage import Stage

OPTIONS = Options(policy=Policy(drain=0.0), again_after=0.0)
COPY = """
INSERT INTO jobs (id, project, name, version, endpoint, target, gpu_types, gpu_count, state)
SELECT id || '-' || n, project, name || '-' || n, version, endpoint, target, gpu_types, gpu_count, state
  FROM jobs, generate_series(1, $2) AS n
 WHERE id = $1
"""
HELD = """
SELECT count(*) FROM pg_locks WHERE relation = 'owners'::regclass AND pid <> pg_backend_pid()
"""
RAISE = "DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{}'; END $$"


@pytest.fixture
async def stage(database: Database) -> Stage:
    stage = Stage(database)
    await stage.prepare()
    await stage.has(t4=2)
    return stage


async def settled(scheduler: Scheduler) -> None:
    """Turns on, whatever passing trouble there is, until that must be over."""
    for _ in range(8):
        try:
            await scheduler.turn()
        except Transient:
            continue
        await scheduler.settle()


@pytest.mark.parametrize("lost", ["place", "advance", "release"])
async def test_S18_a_commit_whose_answer_is_lost_gives_nothing_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The connection ends right after PostgreSQL has done what it was told, once."""
    losing = _Losing(getattr(jobs, lost.upper()))
    for method in ("fetch", "fetchval"):
        monkeypatch.setattr(asyncpg.pool.PoolConnectionProxy, method, losing.on(method))
    driver = FakeDriver()
    scheduler = Scheduler(stage.database, driver, target="process", options=OPTIONS)
    job = await stage.job(gpus=2)
    losing.armed = True
    await settled(scheduler)
    assert await stage.state(job) == "running"
    assert (len(await stage.held()), len(driver.starts)) == (2, 1)
    losing.armed = not losing.lost
    await stage.say_now(JobStopping, job)
    await settled(scheduler)
    assert losing.lost
    assert await stage.held() == {}
    began = ["building", "queued", "placed", "started"]
    assert await stage.facts(job) == [*began, "stopping", "stopped"]


class _Losing:
    """Ends the connection after one statement was carried out, once."""

    def __init__(self, query: str) -> None:
        self._query = query
        self.armed = False
        self.lost = False

    def on(self, method: str) -> Any:
        real = getattr(asyncpg.Connection, method)

        async def losing(proxy: Any, asked: str, *values: Any, **how: Any) -> Any:
            answer = await real(proxy._con, asked, *values, **how)
            if self.armed and asked == self._query:
                self.armed, self.lost = False, True
                raise asyncpg.ConnectionDoesNotExistError("the answer was lost")
            return answer

        return losing


async def test_D04_work_that_is_broken_off_anywhere_is_done_whole_or_not_at_all(
    database: Database,
) -> None:
    """As when a client leaves in the middle of its request."""

    async def two(number: int) -> None:
        async with database.transaction() as connection:
            for part in ("a", "b"):
                add = "INSERT INTO owners (name) VALUES ($1)"
                await connection.execute(add, f"{part}{number}")

    for number in range(60):
        work = asyncio.create_task(two(number))
        for _ in range(number % 20):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    rows = await database.fetch("SELECT substr(name, 2) AS n, count(*) FROM owners GROUP BY 1")
    assert {row["count"] for row in rows} <= {2}
    assert await asyncio.gather(*(database.value("SELECT $1::int", n) for n in range(20))) == [
        *range(20)
    ]


async def test_D06_a_long_read_holds_up_no_placement_and_ours_are_cut(
    stage: Stage, database_url: str
) -> None:
    async with reading(database_url):
        scheduler = Scheduler(stage.database, FakeDriver(), target="process", options=OPTIONS)
        placed = [await stage.job(gpus=1), await stage.job(gpus=1)]
        await settled(scheduler)
        assert [await stage.state(job) for job in placed] == ["running", "running"]
    for setting in ("idle_in_transaction_session_timeout", "statement_timeout"):
        kept = await stage.database.value("SELECT current_setting($1)", setting)
        assert kept not in ("0", ""), setting


async def test_D06_hundreds_are_placed_on_one_gpu_while_nothing_can_be_tidied_away(
    stage: Stage, database_url: str, record_property: Any
) -> None:
    """What a long read may still want to see stays, and every placement has to look past it.

    The bound is for the median: others run on the machine, and the last hundredth is theirs.
    """
    first = await stage.job(gpus=1)
    await stage.database.execute(COPY, first, 300)
    took = []
    async with reading(database_url):
        for job in (JobId(f"{first}-{n}") for n in range(1, 301)):
            began = time.perf_counter()
            assert await stage.jobs.place(JobPlaced(job=job, gpus=("process/t4-0",)))
            took.append(time.perf_counter() - began)
            assert await stage.jobs.release(job, 1) == 1
    record_property("p99", sorted(took)[-4])
    assert median(took) < 0.05


@asynccontextmanager
async def reading(database_url: str) -> AsyncIterator[None]:
    """Somebody reads for long, and sees all as it was when they began."""
    reader = await asyncpg.connect(database_url)
    try:
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            await reader.fetch("SELECT * FROM jobs")
            yield
    finally:
        await reader.close()


async def rests() -> None:
    """While the others go on."""
    await asyncio.sleep(1.0)


async def stands_still() -> None:
    """As a process does that is stopped: what PostgreSQL says is heard with the next statement."""
    await asyncio.sleep(0)
    _stop(1.0)


def _stop(seconds: float) -> None:
    time.sleep(seconds)


@pytest.mark.parametrize("waits", [rests, stands_still])
@pytest.mark.parametrize("then", ["SELECT 1", ""], ids=["statement", "commit"])
async def test_D06_a_transaction_of_ours_that_waits_is_cut_and_the_pool_recovers(
    database_url: str, monkeypatch: pytest.MonkeyPatch, waits: Any, then: str
) -> None:
    monkeypatch.setattr(pool, "IDLE", 0.2)

    async def half(database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute("UPDATE owners SET name = 'eve'")
            await waits()
            if then:
                await connection.execute(then)

    async with Database.open(database_url, size=2) as database:
        await database.execute("INSERT INTO owners (name) VALUES ('ada')")
        for _ in range(2):
            with pytest.raises(Transient):
                await half(database)
            await database.execute("UPDATE owners SET name = 'ada' WHERE name = 'ada'")
            assert await database.value("SELECT name FROM owners") == "ada"
        assert await database.value(HELD) == 0


@pytest.mark.parametrize("code", ["40P01", "40001"])
async def test_D07_a_deadlock_or_a_conflict_is_trouble_that_passes(
    database: Database, code: str
) -> None:
    with pytest.raises(Collided):
        await database.execute(RAISE.format(code))
    assert await database.value("SELECT 1") == 1


async def test_D08_a_full_disk_refuses_writes_and_nothing_else(database: Database) -> None:
    async def fill() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO owners (name) VALUES ('ada')")
            await connection.execute(RAISE.format("53100"))

    with pytest.raises(Transient):
        await fill()
    assert await database.value("SELECT count(*) FROM owners") == 0
    await database.execute("INSERT INTO owners (name) VALUES ('ada')")
