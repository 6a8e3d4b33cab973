"""Budgets: what is spent is told once, and holds what would start, for as long as it is to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from services.scheduler import budgets
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.database.pool import Database
from shared.events import BudgetReached, BudgetWarned, JobStopping
from tests.scheduler.stage import Stage
from tests.simulation.clock import Clock

AT_ONCE = Options(policy=Policy(drain=0.0), again_after=0.0)
TOLD = "SELECT source, subject, data FROM events WHERE type = ANY ($1) ORDER BY seq"


@pytest.fixture
async def stage(virtual: Database) -> Stage:
    """At the end of a month; a GPU costs 1 an hour."""
    stage = Stage(virtual)
    await stage.prepare()
    await stage.has(t4=2)
    await virtual.execute("UPDATE gpus SET price = 1")
    return stage


@pytest.fixture
async def clock(virtual: Database) -> Clock:
    clock = Clock(virtual)
    await clock.set(datetime(2026, 11, 30, 12, tzinfo=UTC))
    return clock


@pytest.fixture
def scheduler(virtual: Database) -> Scheduler:
    return Scheduler(virtual, FakeDriver(), target="process", options=AT_ONCE)


async def budget(stage: Stage, monthly: float, hold: bool = True) -> None:
    await stage.database.execute(
        "INSERT INTO budgets (owner, monthly, warn, hold) VALUES ('ada', $1, '{0.5,0.8}', $2)"
        " ON CONFLICT (owner) DO UPDATE SET monthly = $1, reached = false, revision = budgets.revision + 1",
        monthly,
        hold,
    )


async def told(stage: Stage) -> list[tuple[float, Any, float]]:
    """What was told: what is spent, the part, and the budget."""
    rows = await stage.database.fetch(TOLD, [BudgetWarned.type, BudgetReached.type])
    assert {(row["source"], row["subject"]) for row in rows} <= {("/ada", "ada")}
    return [(row["data"]["spent"], row["data"].get("part"), row["data"]["budget"]) for row in rows]


async def turns(scheduler: Scheduler, count: int = 4) -> None:
    for _ in range(count):
        await scheduler.turn()
        await scheduler.settle()


async def test_each_part_is_told_once_as_it_is_spent(
    stage: Stage, clock: Clock, scheduler: Scheduler
) -> None:
    await budget(stage, 10)
    await stage.job(gpus=1)
    await turns(scheduler)
    for hours, spent in ((4.9, []), (0.2, [0.5]), (0.1, []), (3, [0.8]), (1.8, [None]), (1, [])):
        await clock.advance(hours * 3600)
        before = await told(stage)
        assert await budgets.watch(stage.database) == len(spent)
        assert await budgets.watch(stage.database) == 0
        assert [part for _, part, _ in (await told(stage))[len(before) :]] == spent
    assert [round(spent, 6) for spent, _, _ in await told(stage)] == [5.1, 8.2, 10.0]


async def test_what_runs_goes_on_and_nothing_more_starts_until_the_budget_is_raised(
    stage: Stage, clock: Clock, scheduler: Scheduler
) -> None:
    await budget(stage, 2)
    running = await stage.job(gpus=1)
    await turns(scheduler)
    await clock.advance(2 * 3600)
    await budgets.watch(stage.database)
    waiting = await stage.job(gpus=1)
    await turns(scheduler)
    assert (await stage.state(running), await stage.state(waiting)) == ("running", "queued")
    assert "budget" in (await stage.get(waiting)).reason
    await budget(stage, 50)
    await turns(scheduler)
    assert await stage.state(waiting) == "running"


async def test_a_new_month_lets_more_start_and_counts_from_nothing(
    stage: Stage, clock: Clock, scheduler: Scheduler
) -> None:
    await budget(stage, 12)
    await stage.job(gpus=1)
    await turns(scheduler)
    await clock.set(datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC))
    await budgets.watch(stage.database)
    waiting = await stage.job(gpus=1)
    await turns(scheduler)
    assert [part for _, part, _ in await told(stage)] == [0.5, 0.8]  # a microsecond is missing
    assert await stage.state(waiting) == "running"
    await clock.set(datetime(2026, 12, 1, 5, 59, tzinfo=UTC))  # two GPUs, and not quite 6 hours
    assert await budgets.watch(stage.database) == 2
    assert {
        row["data"]["month"] for row in await stage.database.fetch(TOLD, [BudgetWarned.type])
    } == {
        "2026-11",
        "2026-12",
    }
    await clock.advance(60)
    assert await budgets.watch(stage.database) == 1
    held = await stage.job()
    await turns(scheduler)
    assert await stage.state(held) == "queued"
    await clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    await turns(scheduler)
    assert await stage.state(held) == "running"


async def test_a_budget_that_holds_nothing_is_only_told(
    stage: Stage, clock: Clock, scheduler: Scheduler
) -> None:
    await budget(stage, 1, hold=False)
    await stage.job(gpus=1)
    await turns(scheduler)
    await clock.advance(3600)
    assert await budgets.watch(stage.database) == 3
    more = await stage.job(gpus=1)
    await turns(scheduler)
    assert await stage.state(more) == "running"


async def test_a_budget_of_nothing_lets_nothing_start_and_has_no_parts(
    stage: Stage, scheduler: Scheduler
) -> None:
    await budget(stage, 0)
    await budgets.watch(stage.database)
    assert await told(stage) == [(0, None, 0)]
    job = await stage.job(gpus=1)
    await turns(scheduler)
    assert await stage.state(job) == "queued"
    await stage.say_now(JobStopping, job)


async def test_of_many_who_watch_at_once_one_tells(
    stage: Stage, clock: Clock, scheduler: Scheduler
) -> None:
    await budget(stage, 1)
    await stage.job(gpus=1)
    await turns(scheduler)
    await clock.advance(7200)
    counts = await asyncio.gather(*(budgets.watch(stage.database) for _ in range(5)))
    assert sorted(counts) == [0, 0, 0, 0, 3]
    assert len(await told(stage)) == 3


async def test_one_who_read_before_somebody_wrote_tells_nothing(
    stage: Stage, clock: Clock, scheduler: Scheduler, virtual: Database
) -> None:
    await budget(stage, 1)
    await stage.job(gpus=1)
    await turns(scheduler)
    await clock.advance(7200)
    async with virtual.transaction() as connection:
        await connection.execute("UPDATE budgets SET monthly = 99, revision = revision + 1")
        late = asyncio.ensure_future(budgets.watch(stage.database))
        while not await _waits(stage.database):
            await asyncio.sleep(0.01)
    assert await late == 0
    assert await told(stage) == []


async def _waits(database: Database) -> bool:
    """Whether a session waits for a row that another one has written."""
    return bool(
        await database.value(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
    )
