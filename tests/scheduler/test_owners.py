"""What owners had of late, from allocations whose times are written by hand."""

from __future__ import annotations

import pytest

from services.scheduler import owners
from services.scheduler.owners import Owners
from services.scheduler.queue.values import Owner, Quota
from shared.database.pool import Database
from tests.scheduler.stage import Stage

HALF = 100.0


@pytest.fixture
async def stage(database: Database) -> Stage:
    stage = Stage(database)
    await stage.prepare()
    await stage.has(t4=2, a100=1)
    return stage


@pytest.fixture(autouse=True)
def every_time(monkeypatch):
    monkeypatch.setattr(owners, "USED_EVERY", 0.0)
    monkeypatch.setattr(owners, "COUNTED_EVERY", 0.0)


async def had(stage, gpu, began, ended=None, owner="ada"):
    """It was held from so many seconds ago until so many seconds ago."""
    job = await stage.job(queued=False, owner=owner)
    await stage.database.execute(
        "INSERT INTO allocations (gpu, job, attempt, held_at, released_at) VALUES ($1, $2, 1,"
        " clock_timestamp() - make_interval(secs => $3),"
        " clock_timestamp() - make_interval(secs => $4))",
        gpu,
        job,
        began,
        ended,
    )


async def read(database, who=None):
    async with database.connection() as connection:
        return await (who or Owners("process", HALF)).read(connection)


async def test_what_was_had_counts_for_half_after_a_half_life(stage, database):
    await had(stage, "process/t4-0", 200.0, 100.0)
    await had(stage, "process/t4-1", 100.0)
    await had(stage, "process/a100-0", 100.0, 0.0)
    found = (await read(database))["ada"].used
    # of all of the past the last half-life is one half, and the one before a quarter
    assert found == pytest.approx({"t4": 0.25 + 0.5, "a100": 0.5}, abs=0.02)


async def test_what_is_long_ago_counts_for_nothing(stage, database):
    await had(stage, "process/t4-0", 5_000.0, 2_000.0)
    assert await read(database) == {}


async def test_reckoning_on_is_as_reckoning_anew(stage, database):
    who = Owners("process", HALF)
    await had(stage, "process/t4-0", 90.0)
    await read(database, who)
    await had(stage, "process/t4-1", 0.0)
    # 50 seconds go by, and then the second is given back
    await stage.database.execute(
        "UPDATE allocations SET held_at = held_at - interval '50 s', released_at = CASE"
        " WHEN gpu LIKE '%t4-1' THEN clock_timestamp() - interval '10 s' END"
    )
    assert who._until is not None
    who._until = await database.value("SELECT $1::timestamptz - interval '50 s'", who._until)
    on, anew = await read(database, who), await read(database)
    assert on["ada"].used == pytest.approx(anew["ada"].used, abs=0.02)
    assert 0.5 < anew["ada"].used["t4"] < 1.0


async def test_a_clock_that_is_set_back_makes_nothing_count_for_more(stage, database):
    who = Owners("process", HALF)
    await had(stage, "process/t4-0", 200.0, 100.0)
    before = (await read(database, who))["ada"].used
    who._until = await database.value("SELECT $1::timestamptz + interval '100 days'", who._until)
    assert (await read(database, who))["ada"].used == before
    assert (await read(database, who))["ada"].used == pytest.approx(before, abs=0.02)


@pytest.mark.parametrize("days", [-100, 100])
async def test_C01_a_clock_that_jumps_by_thousands_of_half_lives_is_no_trouble(
    stage, database, days
):
    who = Owners("process", HALF)
    await had(stage, "process/t4-0", 10_000_000.0)
    await read(database, who)
    who._until = await database.value(
        "SELECT $1::timestamptz + make_interval(days => $2)", who._until, days
    )
    assert (await read(database, who))["ada"].used == pytest.approx({"t4": 1.0}, abs=0.02)


async def test_owners_with_nothing_of_their_own_are_not_told_of(stage, database):
    await stage.owner("bob")
    await database.execute("INSERT INTO allowances (owner, weight) VALUES ('bob', 3), ('ada', 1)")
    assert await read(database) == {"bob": Owner(owner="bob", weight=3.0)}


async def test_quotas_of_other_targets_are_others(stage, database):
    await database.execute(
        "INSERT INTO quotas (owner, target, gpu_type, nominal, borrow, cohort)"
        " VALUES ('ada', 'process', 't4', 1, NULL, 'lab'), ('ada', 'eu', 't4', 9, 0, '')"
    )
    async with database.connection() as connection:
        found = await Owners("process").quotas(connection)
    assert found == [Quota(owner="ada", gpu_type="t4", nominal=1, cohort="lab")]


async def test_it_counts_who_waits(stage, database):
    who = Owners("process")
    for count in (0, 1, 1):
        await stage.job(gpus=count)
    await stage.job(gpus=1, priority=100)
    await read(database, who)
    assert who.waiting == {("ada", 0): 3, ("ada", 100): 1}
    assert who.wanting == {"ada": 3}
