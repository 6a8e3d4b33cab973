"""What runs and is unknown to the tables, after older ones were put back in their place."""

from __future__ import annotations

import asyncio

import pytest

from services.scheduler import leftovers
from services.scheduler.driver import Replica
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.leftovers import LEFT
from services.scheduler.performer import Options
from services.scheduler.queue.values import Picture, Placement, Slot
from services.scheduler.reconcile import Policy, Work
from services.scheduler.scheduler import Scheduler
from shared.events import JobPlaced, JobStopping
from shared.ids import JobId
from shared.lifecycle import State
from tests.saved import Table, put_back, saved
from tests.scheduler.stage import Stage

OPTIONS = Options(policy=Policy(drain=0.0), again_after=0.0)
FIRST, SECOND = Replica(JobId("j1"), 1), Replica(JobId("j2"), 1)


class Crowded(FakeDriver):
    """Sees to it that no two have one device."""

    def _begin(self, workload):
        super()._begin(workload)
        given = [device for work in self.workloads.values() for device in work.devices]
        assert len(given) == len({*given}), f"{workload.replica} was given what another has"


class Platform:
    """A scheduler, begun anew whenever tables are put back."""

    def __init__(self, stage: Stage, driver: Crowded) -> None:
        self.stage = stage
        self.driver = driver
        self.scheduler = self._begun()

    async def turns(self, count: int = 6) -> None:
        for _ in range(count):
            await self.scheduler.turn()
            await self.scheduler.settle()

    async def looks(self, count: int = 4) -> None:
        """Turns that wait for nothing that they began."""
        for _ in range(count):
            await self.scheduler.turn()
            await asyncio.sleep(0.01)

    async def save(self) -> list[Table]:
        async with self.stage.database.connection() as connection:
            return await saved(connection)

    async def restore(self, tables: list[Table]) -> None:
        async with self.stage.database.connection() as connection:
            await put_back(connection, tables)
        self.scheduler = self._begun()

    def _begun(self) -> Scheduler:
        return Scheduler(self.stage.database, self.driver, target="process", options=OPTIONS)


@pytest.fixture
def platform(stage: Stage) -> Platform:
    return Platform(stage, Crowded())


async def test_D13_gpus_of_what_is_unknown_are_given_to_nobody_until_it_has_ended(platform, stage):
    await stage.has(t4=1)
    before = await platform.save()
    lost = await stage.job(gpus=1, types=["t4"])
    await platform.turns()
    await platform.restore(before)
    platform.driver.may_stop.clear()
    job, light = await stage.job(gpus=1, types=["t4"]), await stage.job()
    await platform.looks()
    assert list(platform.driver.workloads) == [Replica(lost, 1), Replica(light, 1)]
    assert (await stage.get(job)).reason == (
        "waits for 1 t4; 0 of 1 are free; next in line; starts as soon as what ends there is gone"
    )
    platform.driver.may_stop.set()
    await platform.turns()
    assert list(platform.driver.workloads) == [Replica(light, 1), Replica(job, 1)]
    assert await stage.held() == {"process/t4-0": Replica(job, 1)}


async def test_D13_what_waits_by_the_tables_and_runs_is_ended_and_begins_anew(platform, stage):
    """Taken for what is to be started, it would go on where it is, and not where it has its GPU."""
    await stage.has(t4=1)
    job = await stage.job(gpus=1, types=["t4"])
    before = await platform.save()
    await platform.turns()
    await platform.restore(before)
    platform.driver.may_stop.clear()
    await stage.database.execute("UPDATE gpus SET present = false")
    await stage.database.execute(
        "INSERT INTO gpus (id, target, type, device) VALUES ('process/t4-1', 'process', 't4', '1')"
    )
    await platform.looks()
    found = await stage.get(job)
    assert (found.state, found.reason) == ("queued", LEFT)
    platform.driver.may_stop.set()
    await platform.turns(8)
    found = await stage.get(job)
    assert (found.state, found.attempt) == ("running", 2)
    assert platform.driver.workloads[Replica(job, 2)].devices == ("1",)
    assert await stage.held() == {"process/t4-1": Replica(job, 2)}


async def test_D13_what_is_told_to_stop_before_it_has_its_place_keeps_its_gpu_until_then(
    platform, stage
):
    await stage.has(t4=1)
    lost = await stage.job(gpus=1, types=["t4"])
    before = await platform.save()
    await platform.turns()
    await platform.restore(before)
    platform.driver.may_stop.clear()
    await stage.say(JobStopping(job=lost))
    job = await stage.job(gpus=1, types=["t4"])
    await platform.looks()
    assert (await stage.state(lost), await stage.state(job)) == ("stopping", "queued")
    platform.driver.may_stop.set()
    await platform.turns()
    assert (await stage.state(lost), await stage.state(job)) == ("stopped", "running")
    assert list(platform.driver.workloads) == [Replica(job, 1)]


async def test_D13_what_was_given_a_gpu_starts_when_nobody_unknown_has_it(platform, stage):
    await stage.has(t4=1)
    job = await stage.job(gpus=1, types=["t4"])
    assert await stage.jobs.place(JobPlaced(job=job, gpus=("process/t4-0",)))
    before = await platform.save()
    await platform.turns()
    await stage.say(JobStopping(job=job))
    await platform.turns()
    lost = await stage.job(gpus=1, types=["t4"])
    await platform.turns()
    await platform.restore(before)
    platform.driver.ended.clear()  # a day later, nobody remembers
    platform.driver.may_stop.clear()
    await platform.looks()
    assert list(platform.driver.workloads) == [Replica(lost, 1)]
    assert await stage.state(job) == "starting"
    platform.driver.may_stop.set()
    await platform.turns()
    assert list(platform.driver.workloads) == [Replica(job, 1)]
    assert await stage.state(job) == "running"


async def test_D13_what_the_tables_say_runs_goes_on(platform, stage):
    await stage.has(t4=1)
    job = await stage.job(gpus=1, types=["t4"])
    await platform.turns()
    before = await platform.save()
    assert await stage.say(JobStopping(job=job))
    await platform.restore(before)
    await platform.turns()
    assert (platform.driver.starts, platform.driver.stops) == ([Replica(job, 1)], [])
    assert await stage.state(job) == "running"


def test_only_what_is_free_is_kept_from_others():
    slots = [
        Slot(gpu="a", type="t4", device="0"),
        Slot(gpu="b", type="t4", device="1", job=FIRST.job),
        Slot(gpu="c", type="t4", device="2"),
    ]
    picture = Picture(waiting=[], slots=slots)
    found = leftovers.kept(picture, {"0", "1"}).slots
    assert [slot.free for slot in found] == [False, False, True]
    assert [slot.unproven for slot in found] == [True, False, False]
    assert leftovers.kept(picture, ()) is picture


def test_who_runs_already_may_grow_and_not_be_placed():
    placed = [Placement(job=each.job, attempt=1, gpus=("a",)) for each in (FIRST, SECOND)]
    grown = Placement(job=FIRST.job, attempt=1, gpus=("b",), granted=1, copies=2)
    assert leftovers.apart([*placed, grown], {FIRST}) == ([placed[1], grown], [placed[0]])


@pytest.mark.parametrize(
    ("state", "found"), [("running", []), ("starting", []), ("stopping", [SECOND])]
)
def test_unknown_is_what_is_neither_wanted_nor_holds_anything(state, found):
    work = Work(job=SECOND.job, attempt=1, state=State(state), restarts=0, age=1.0)
    assert leftovers.unknown({FIRST, SECOND}, [work], {FIRST}) == found
    assert leftovers.unknown({FIRST, SECOND}, (), {FIRST}) == [SECOND]


def test_late_are_the_holders_of_what_is_used():
    assert leftovers.late([("0", FIRST), ("1", SECOND)], {"1"}) == {SECOND}
