from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from services.scheduler.driver import Replica, Workload
from services.scheduler.drivers.fake import PAGE, FakeDriver
from services.scheduler.logs import LONGEST, Shipper, clean
from shared.database.logs import Line
from shared.endpoint import Command, Endpoint
from shared.errors import Transient
from shared.ids import JobId
from tests.scheduler.stage import Stage


@pytest.mark.parametrize(
    ("text", "tidy"),
    [
        ("plain\ttext", "plain\ttext"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("nul\x00bell\x07del\x7fc1\x9b", "nulbelldelc1"),
        ("10%\r50%\r100%", "100%"),
        ("windows\r\n", "windows"),
        ("lone \udc80 surrogate", "lone ? surrogate"),
        ('{"vh_metadata": {"a": 1}}', '{"vh_metadata": {"a": 1}}'),
        ("日本", "日本"),
    ],
)
def test_a_line_is_kept_as_a_person_may_read_it(text, tidy):
    assert clean(text) == tidy


def test_a_long_line_is_cut_at_a_whole_character():
    cut = clean("€" * LONGEST)
    assert len(cut.encode()) <= LONGEST
    assert cut.endswith("€…")


@pytest.fixture
async def stage(database):
    stage = Stage(database)
    await stage.prepare()
    return stage


@pytest.fixture
async def driver():
    return FakeDriver()


class Sources(FakeDriver):
    """Keeps no lines: what it says depends on how far each source was read."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.ready = []

    async def logs(self, replica, after, seen=None):
        self.asked.append((after, dict(seen)))
        fresh = [line for line in self.ready if line.stamp > seen.get(line.source, "")]
        return [msgspec.structs.replace(x, line=after + n) for n, x in enumerate(fresh, 1)]


def spoken(source, stamp, text):
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return Line(line=0, at=at, stream="stdout", text=text, source=source, stamp=stamp)


async def test_each_source_is_read_on_from_where_it_was(stage, database):
    driver, job = Sources(), await stage.job()
    found, shipper = await replica(driver, job), Shipper(database, driver)
    driver.ready = [
        spoken("a", "09.1", "one"),
        spoken("b", "09.3", "two"),
        spoken("a", "09.2", "three"),
    ]
    await shipper.finish(found)
    assert driver.asked == [(0, {}), (3, {"a": "09.2", "b": "09.3"})]
    driver.ready.append(spoken("b", "09.4", "four"))
    driver.asked = []
    await Shipper(database, driver).finish(found)  # of the process after this one
    assert driver.asked[0] == (3, {"a": "09.2", "b": "09.3"})
    assert await stage.lines(job) == ["one", "two", "three", "four"]


async def test_one_whose_lines_are_out_of_reach_holds_up_no_other(stage, database):
    class Halved(FakeDriver):
        async def logs(self, replica, after, seen=None):
            if replica.job == away:
                raise Transient("its machine is away")
            return await super().logs(replica, after, seen)

    driver, away, job = Halved(), await stage.job(), await stage.job()
    for each in (away, job):
        driver.say(await replica(driver, each), "hello")
    assert await Shipper(database, driver).round()
    assert (await stage.lines(away), await stage.lines(job)) == ([], ["hello"])


async def replica(driver, job):
    found = Replica(job, 1)
    endpoint = Endpoint(
        name="e", format="valohai", entry=Command(lines=("x",)), port=8000, readiness="none"
    )
    await driver.start(
        Workload(replica=found, image="i", endpoint=endpoint, environment={}, devices=(), files={})
    )
    return found


async def test_lines_are_kept_in_order_and_once(stage, driver):
    job = JobId("j1")
    there = await replica(driver, job)
    driver.say(there, "one", "two")
    await Shipper(stage.database, driver).round()
    driver.say(there, "three")
    for shipper in (Shipper(stage.database, driver), Shipper(stage.database, driver)):
        await shipper.round()
        await shipper.round()
    assert await stage.lines(job) == ["one", "two", "three"]


async def test_a_chatty_replica_delays_nobody(stage, driver):
    loud, quiet = await replica(driver, JobId("j1")), await replica(driver, JobId("j2"))
    driver.say(loud, *["x"] * (2 * PAGE))
    driver.say(quiet, "hello")
    shipper = Shipper(stage.database, driver)
    assert await shipper.round()
    assert await stage.lines(quiet.job) == ["hello"]
    assert len(await stage.lines(loud.job)) == PAGE
    await shipper.finish(loud)
    assert len(await stage.lines(loud.job)) == 2 * PAGE


async def test_only_the_last_lines_of_a_job_are_kept(stage, driver):
    there = await replica(driver, JobId("j1"))
    driver.say(there, *[str(n) for n in range(50)])
    await Shipper(stage.database, driver, kept=20).finish(there)
    assert await stage.lines(there.job) == [str(n) for n in range(30, 50)]


async def test_nothing_new_is_nothing_written(stage, driver):
    there = await replica(driver, JobId("j1"))
    driver.say(there, "one")
    shipper = Shipper(stage.database, driver)
    assert await shipper.round()
    before = await stage.written()
    assert not await shipper.round()
    assert await stage.written() == before
