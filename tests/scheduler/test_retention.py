"""Stopped jobs are purged after two weeks, and told before: with a real PostgreSQL, whose clock is
set forward by dating rows back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.scheduler.epoch import Deposed, Epoch
from services.scheduler.retention import AFTER, DAY, NOTICE, PURGE_WARN, Retention
from shared.database.pool import Connection, Database
from shared.errors import Transient
from shared.events import (
    JobFailed,
    JobFinished,
    JobPlaced,
    JobRestarted,
    JobStarted,
    JobStopped,
    JobStopping,
    JobWarned,
)
from shared.ids import JobId
from tests.scheduler.stage import Stage


class Weeks(Stage):
    async def stopped(self, **options: Any) -> JobId:
        job = await self.job(**options)
        await self.say_now(JobStopping, job)
        await self.say_now(JobStopped, job)
        return job

    async def finished(self) -> JobId:
        job = await self.job()
        await self.say(JobPlaced(job=job))
        await self.say(JobStarted(job=job, address="http://127.0.0.1:1"))
        await self.say(JobFinished(job=job))
        return job

    async def pass_(self, days: float) -> None:
        await self.database.execute(
            "UPDATE jobs SET changed_at = changed_at - $1::interval,"
            " purge_at = purge_at - $1::interval, purge_told_at = purge_told_at - $1::interval",
            timedelta(days=days),
        )

    async def purge_at(self, job: JobId) -> datetime | None:
        found = await self.database.value("SELECT purge_at FROM jobs WHERE id = $1", job)
        assert found is None or isinstance(found, datetime)
        return found

    async def due_in(self, job: JobId) -> float | None:
        """Days from now by PostgreSQL's clock."""
        found = await self.database.value(
            "SELECT extract(epoch FROM purge_at - clock_timestamp())::float8 FROM jobs"
            " WHERE id = $1",
            job,
        )
        return None if found is None else round(float(found) / DAY, 2)

    async def told(self, job: JobId) -> list[str]:
        rows = await self.database.fetch(
            "SELECT type FROM events WHERE subject = $1 ORDER BY seq", job
        )
        names = [row["type"].split(".")[2] for row in rows]
        return [name for name in names if name in ("warned", "purged")]


@pytest.fixture
async def weeks(database: Database) -> Weeks:
    weeks = Weeks(database)
    await weeks.prepare()
    return weeks


@pytest.fixture
def retention(database: Database) -> Retention:
    return Retention(database, target="process")


async def test_a_stopped_job_is_told_three_days_before_and_purged_after_two_weeks(
    weeks: Weeks, retention: Retention
) -> None:
    job = await weeks.stopped()
    await retention.keep()
    assert await weeks.due_in(job) == 14
    await weeks.pass_(10.9)
    await retention.keep()
    assert await weeks.told(job) == []
    await weeks.pass_(0.2)
    await retention.keep()
    assert await weeks.told(job) == ["warned"]
    await weeks.pass_(2.8)
    await retention.keep()
    assert (await weeks.told(job), await weeks.state(job)) == (["warned"], "stopped")
    await weeks.pass_(0.3)
    await retention.keep()
    assert (await weeks.told(job), await weeks.state(job)) == (["warned", "purged"], "purged")
    assert await weeks.purge_at(job) is None


async def test_the_notice_says_what_will_happen_when_and_what_to_do(
    weeks: Weeks, retention: Retention, database: Database
) -> None:
    stopped, finished = await weeks.stopped(), await weeks.finished()
    await weeks.pass_(12)
    await retention.keep()
    rows = await database.fetch(
        "SELECT subject, data, source FROM events WHERE type = $1 ORDER BY seq", JobWarned.type
    )
    assert {row["source"] for row in rows} == {"/ada/mnist"}
    facts = {row["subject"]: row["data"] for row in rows}
    assert facts.keys() == {stopped, finished}
    for job, advice in ((stopped, "restart it"), (finished, "download")):
        assert facts[job]["what"] == "purge"
        assert advice in facts[job]["reason"]
        assert datetime.fromisoformat(facts[job]["at"]) == await weeks.purge_at(job)


async def test_one_that_is_used_again_begins_anew(weeks: Weeks, retention: Retention) -> None:
    job = await weeks.stopped()
    await weeks.pass_(13)
    await retention.keep()
    assert await weeks.told(job) == ["warned"]
    assert await weeks.say_now(JobRestarted, job)
    assert await weeks.purge_at(job) is None
    await weeks.pass_(30)
    await retention.keep()
    assert (await weeks.told(job), await weeks.state(job)) == (["warned"], "queued")
    await weeks.say_now(JobStopping, job)
    await weeks.say_now(JobStopped, job)
    await retention.keep()
    assert await weeks.due_in(job) == 14
    await weeks.pass_(13)
    await retention.keep()
    assert await weeks.told(job) == ["warned", "warned"]


async def test_who_was_away_for_long_tells_first_and_purges_later(
    weeks: Weeks, retention: Retention
) -> None:
    job = await weeks.stopped()
    await weeks.pass_(100)
    await retention.keep()
    assert (await weeks.told(job), await weeks.state(job)) == (["warned"], "stopped")
    assert await weeks.due_in(job) == 3
    await weeks.pass_(3.1)
    await retention.keep()
    assert await weeks.state(job) == "purged"


async def test_a_notice_of_an_earlier_stop_counts_for_nothing(
    weeks: Weeks, retention: Retention, database: Database
) -> None:
    """As a release that did not know of it would leave it."""
    job = await weeks.stopped()
    await retention.keep()
    await database.execute(
        "UPDATE jobs SET purge_told_at = changed_at - interval '20 days',"
        " purge_at = changed_at - interval '1 s'"
    )
    await retention.keep()
    assert await weeks.state(job) == "stopped"


async def test_nothing_is_purged_that_is_wanted_has_failed_or_is_over(
    weeks: Weeks, retention: Retention
) -> None:
    queued, failed = await weeks.job(), await weeks.job()
    assert await weeks.say(JobFailed(job=failed, reason="crash loop"))
    building = await weeks.job(queued=False)
    for _ in range(3):
        await weeks.pass_(40)
        await retention.keep()
    for job in (queued, failed, building):
        assert await weeks.told(job) == []
        assert await weeks.purge_at(job) is None


async def test_other_targets_and_the_jobs_of_applications_are_left_alone(
    weeks: Weeks, retention: Retention, database: Database
) -> None:
    elsewhere = await weeks.stopped(target="eu")
    part = await weeks.stopped()
    await database.execute(
        "INSERT INTO applications (id, project, name, target) VALUES ('a1', 1, 'claims', 'process')"
    )
    await database.execute("UPDATE jobs SET application = 'a1' WHERE id = $1", part)
    for _ in range(3):
        await weeks.pass_(40)
        await retention.keep()
    for job in (elsewhere, part):
        assert (await weeks.told(job), await weeks.state(job)) == ([], "stopped")


async def test_zero_is_never_and_takes_back_what_was_to_happen(
    weeks: Weeks, retention: Retention, database: Database
) -> None:
    job = await weeks.stopped()
    await weeks.pass_(13)
    await retention.keep()
    assert await weeks.due_in(job) is not None
    never = Retention(database, target="process", after=0)
    await weeks.pass_(30)
    await never.keep()
    assert (await weeks.purge_at(job), await weeks.state(job)) == (None, "stopped")
    await Retention(database, target="process").keep()
    assert await weeks.told(job) == ["warned", "warned"], "what was told before is of no use now"
    assert await weeks.due_in(job) == 3


async def test_other_settings_count_from_the_next_start_on(
    weeks: Weeks, retention: Retention, database: Database
) -> None:
    job = await weeks.stopped()
    await retention.keep()
    assert await weeks.due_in(job) == 14
    longer = Retention(database, target="process", after=30 * DAY, notice=NOTICE)
    await longer.keep()
    assert await weeks.due_in(job) == 30
    shorter = Retention(database, target="process", after=2 * DAY, notice=NOTICE)
    await shorter.keep()
    assert await weeks.due_in(job) == 2, "no more notice than there is time"
    assert await weeks.told(job) == ["warned"]


async def test_the_first_look_goes_page_by_page_and_goes_on_where_it_was_cut_short(
    weeks: Weeks, retention: Retention, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [await weeks.stopped() if n % 2 else await weeks.finished() for n in range(7)]
    await retention.keep()
    monkeypatch.setattr("services.scheduler.retention.AT_ONCE", 2)
    longer = Retention(database, target="process", after=30 * DAY, notice=NOTICE)
    transaction, pages = database.transaction, 0

    @asynccontextmanager
    async def away() -> AsyncIterator[Connection]:
        nonlocal pages
        pages += 1
        if pages == 3:
            raise Transient("it is away")
        async with transaction() as connection:
            yield connection

    monkeypatch.setattr(database, "transaction", away)
    with pytest.raises(Transient):
        await longer.keep()
    assert sorted([await weeks.due_in(job) for job in jobs]) == [14] * 3 + [30] * 4
    pages = 10
    await longer.keep()
    assert [await weeks.due_in(job) for job in jobs] == [30] * 7
    assert pages == 10 + 2 + 1 + 1 + 1, "two more pages and their end, and what each look asks"


async def test_who_is_to_be_warned_is_found_without_a_look_at_those_who_were(
    weeks: Weeks, database: Database
) -> None:
    """They rest for days after it, and each look comes seconds after the one before."""
    await weeks.stopped()
    row = await database.row("SELECT version FROM jobs")
    assert row is not None
    await database.execute(
        "INSERT INTO jobs (id, project, name, version, endpoint, target, state, purge_at,"
        " purge_told_at) SELECT 'k' || n, 1, 'n' || n, $1, 'predict', 'process', 'stopped',"
        " now() + interval '1 day', now() FROM generate_series(1, 3000) AS n",
        row["version"],
    )
    await database.execute("ANALYZE jobs")
    values = ("process", NOTICE, 1000, JobWarned.type, "s", "f")
    rows = await database.fetch("EXPLAIN " + PURGE_WARN, *values)
    plan = "\n".join(row[0] for row in rows)
    assert "jobs_to_warn" in plan, plan


async def test_looking_twice_writes_nothing_more(
    weeks: Weeks, retention: Retention, database: Database
) -> None:
    jobs = [await weeks.stopped() for _ in range(3)]
    await weeks.pass_(12)
    await retention.keep()
    written = await weeks.written()
    await retention.keep()
    await Retention(database, target="process").keep()
    assert await weeks.written() == written
    assert [await weeks.told(job) for job in jobs] == [["warned"]] * 3


async def test_of_many_who_look_at_once_one_tells_and_one_purges(
    weeks: Weeks, database: Database
) -> None:
    many = [Retention(database, target="process") for _ in range(4)]
    job = await weeks.stopped()
    for days in (12, 3.1):
        await weeks.pass_(days)
        await asyncio.gather(*(each.keep() for each in many))
    assert await weeks.told(job) == ["warned", "purged"]


async def test_what_is_purged_leaves_no_lines_and_no_build_behind(
    weeks: Weeks, retention: Retention, database: Database
) -> None:
    job, other = await weeks.stopped(), await weeks.stopped()
    for each in (job, other):
        await database.execute(
            "INSERT INTO logs (subject, attempt, line, at, stream, text)"
            " VALUES ($1, 1, 1, now(), 'stdout', 'secret')",
            each,
        )
    version = (await weeks.get(job)).version
    await database.execute("UPDATE versions SET state = 'building' WHERE id = $1", version)
    await weeks.pass_(15)
    await retention.keep()
    assert await weeks.say_now(JobRestarted, other)
    await weeks.pass_(4)
    await retention.keep()
    assert [row["subject"] for row in await database.fetch("SELECT subject FROM logs")] == [other]
    row = await database.row("SELECT state, reason FROM versions WHERE id = $1", version)
    assert row is not None
    assert (row["state"], row["reason"]) == ("failed", "cancelled")


async def test_one_that_is_restarted_at_that_moment_stays(
    weeks: Weeks, retention: Retention, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await weeks.stopped()
    await weeks.pass_(14)
    await retention.keep()
    await weeks.pass_(4)
    fetch = database.fetch

    async def slow(*values: Any) -> Any:
        rows = await fetch(*values)
        assert await weeks.say_now(JobRestarted, job)
        return rows

    monkeypatch.setattr(database, "fetch", slow)
    await retention.keep()
    monkeypatch.undo()
    assert (await weeks.state(job), await weeks.told(job)) == ("queued", ["warned"])


async def test_whose_epoch_is_over_tells_and_purges_nothing(
    weeks: Weeks, database: Database
) -> None:
    job = await weeks.stopped()
    await database.execute("INSERT INTO leaders (target, epoch) VALUES ('process', 2)")
    epoch = Epoch("process")
    epoch.number = 1
    late = Retention(database, target="process", after=AFTER, epoch=epoch)
    await weeks.pass_(15)
    with pytest.raises(Deposed):
        await late.keep()
    assert (await weeks.purge_at(job), await weeks.told(job)) == (None, [])
