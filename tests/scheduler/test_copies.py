"""Jobs of several copies, with a real PostgreSQL and a target that is only remembered."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from services.scheduler.driver import Phase, Replica
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.drivers.kubernetes.nodes import inventory, place
from services.scheduler.inventory import Inventory
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy, Release
from services.scheduler.scheduler import Scheduler
from shared.database.pool import Database
from shared.events import JobRestarted, JobStopping
from tests.scheduler.kubernetes.driver.pods import node
from tests.scheduler.stage import Stage

OPTIONS = Options(policy=Policy(drain=0.0, patience=0.0), again_after=0.0, repair_every=0.0)


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def scheduler(database: Database, driver: FakeDriver) -> Scheduler:
    return Scheduler(database, driver, target="process", options=OPTIONS)


async def turns(scheduler: Scheduler, count: int = 5) -> None:
    for _ in range(count):
        await scheduler.turn()
        await scheduler.settle()


async def running(stage, scheduler, **needs):
    job = await stage.job(**needs)
    await turns(scheduler)
    assert await stage.state(job) == "running"
    return job


async def nodes(stage, job):
    """How many GPUs each machine gives to each of its copies."""
    rows = await stage.database.fetch(
        "SELECT copy, node, count(*) AS gpus FROM allocations JOIN gpus ON gpus.id = gpu"
        " WHERE job = $1 AND released_at IS NULL GROUP BY copy, node ORDER BY copy, node",
        job,
    )
    return [(row["copy"], row["node"], row["gpus"]) for row in rows]


async def test_all_copies_start_together_when_there_is_room(stage, scheduler, driver):
    await stage.machines(2, 3)
    job = await running(stage, scheduler, gpus=2, types=["t4"], copies=2)
    assert await nodes(stage, job) == [(0, "n0", 2), (1, "n1", 2)]
    work = driver.workloads[Replica(job, 1)]
    assert (work.copies, work.devices) == (2, ("0.0", "0.1", "1.0", "1.1"))
    assert work.project == "ada/mnist"
    found = await stage.get(job)
    assert (found.copies, found.granted, len(found.addresses)) == (2, 2, 2)
    assert await stage.facts(job) == ["building", "queued", "placed", "started"]


async def test_a_cluster_is_told_its_gpus_as_its_own_inventory_calls_them(stage, database, driver):
    """Else it takes them for free, and what runs on them for strays that take others."""
    found = inventory("eu", [node(gpus=4)], [], ("workloads", "ours"), {})

    async def source():
        return found

    await Inventory(database, "eu", source, {}).refresh()
    scheduler = Scheduler(database, driver, target="eu", options=OPTIONS)
    job = await running(stage, scheduler, gpus=2, types=["gpu"], target="eu")
    devices = driver.workloads[Replica(job, 1)].devices
    assert devices == (found[0].device, found[1].device)
    assert [place(device) for device in devices] == [("node-1", 0), ("node-1", 1)]


async def test_a_copy_never_has_gpus_of_two_machines(stage, scheduler):
    await stage.machines(3, 3)
    job = await stage.job(gpus=4, types=["t4"])
    await turns(scheduler)
    assert (await stage.get(job)).reason == (
        "waits for 4 t4 on one machine, which this target does not have (it has 6 t4)"
    )


async def test_it_starts_with_those_that_fit_and_the_others_follow(stage, scheduler, driver):
    await stage.has(t4=3)
    first = await running(stage, scheduler, gpus=1, types=["t4"])
    job = await running(stage, scheduler, gpus=1, types=["t4"], copies=3)
    assert driver.workloads[Replica(job, 1)].copies == 2
    late = await stage.job(gpus=1, types=["t4"])
    await turns(scheduler)
    assert (await stage.get(job)).reason == (
        "runs 2 of 3 copies; the next waits for 1 t4; 0 of 3 are free; next in line"
    )
    await stage.say(JobStopping(job=first))
    await turns(scheduler, 8)
    found = await stage.get(job)
    assert (found.granted, len(found.addresses), found.reason) == (3, 3, "")
    assert await stage.state(late) == "queued", "it came later"
    assert driver.workloads[Replica(job, 1)].copies == 3
    assert driver.starts.count(Replica(job, 1)) == 1


async def test_more_copies_than_a_target_has_gpus_for_hold_up_nobody(stage, scheduler):
    await stage.has(t4=3)
    first = await running(stage, scheduler, gpus=1, types=["t4"])
    wide = await running(stage, scheduler, gpus=1, types=["t4"], copies=9)
    await stage.database.execute("UPDATE gpus SET present = false WHERE id = 'process/t4-0'")
    other = await stage.job(gpus=1, types=["t4"])
    assert (await stage.get(wide)).granted == 2
    await turns(scheduler)
    assert "this target has no room for more" in (await stage.get(wide)).reason
    await stage.scale(wide, 1)
    await turns(scheduler, 8)
    assert await stage.state(other) == "running"
    assert await stage.state(first) == "running"


async def test_a_job_without_gpus_is_scaled_at_once(stage, scheduler, driver):
    job = await running(stage, scheduler)
    assert await stage.scale(job, 5)
    await turns(scheduler)
    assert driver.workloads[Replica(job, 1)].copies == 5
    assert len((await stage.get(job)).addresses) == 5
    assert await stage.scale(job, 2)
    await turns(scheduler)
    assert driver.workloads[Replica(job, 1)].copies == 2
    assert len((await stage.get(job)).addresses) == 2
    facts = await stage.facts(job)
    assert (facts.count("scaled"), facts.count("moved")) == (3, 2)
    assert (len(driver.starts), driver.stops) == (1, [])


async def test_a_queued_job_is_scaled_before_it_starts(stage, scheduler, driver):
    await stage.has(t4=1)
    first = await running(stage, scheduler, gpus=1, types=["t4"])
    job = await stage.job(gpus=1, types=["t4"], copies=4)
    await turns(scheduler)
    await stage.scale(job, 1)
    await stage.say(JobStopping(job=first))
    await turns(scheduler, 8)
    assert (await stage.state(job), driver.workloads[Replica(job, 1)].copies) == ("running", 1)


async def test_gpus_of_a_copy_are_free_only_when_it_is_gone(stage, scheduler, driver):
    await stage.has(t4=2)
    job = await running(stage, scheduler, gpus=1, types=["t4"], copies=2)
    other = await stage.job(gpus=1, types=["t4"])
    driver.lingers = True
    await stage.scale(job, 1)
    await turns(scheduler)
    assert len(await stage.held()) == 2
    assert len((await stage.get(job)).addresses) == 1, "it gets no traffic any more"
    assert await stage.state(other) == "queued"
    driver.reap(Replica(job, 1))
    await turns(scheduler)
    assert await stage.held() == {
        "process/t4-0": Replica(job, 1),
        "process/t4-1": Replica(other, 1),
    }
    assert await stage.state(other) == "running"


async def test_copies_that_were_given_up_a_moment_ago_are_taken_back(stage, scheduler, driver):
    await stage.has(t4=3)
    job = await running(stage, scheduler, gpus=1, types=["t4"], copies=3)
    driver.lingers = True
    await stage.scale(job, 1)
    await turns(scheduler)
    await stage.scale(job, 3)
    await turns(scheduler)
    assert len(await stage.held()) == 3
    assert (await stage.get(job)).granted == 3
    assert [copy for copy, _, _ in await nodes(stage, job)] == [0, 1, 2]
    assert driver.workloads[Replica(job, 1)].copies == 3


async def test_a_release_that_comes_too_late_frees_nothing(stage, scheduler):
    await stage.has(t4=3)
    job = await running(stage, scheduler, gpus=1, types=["t4"], copies=3)
    assert await stage.jobs.shrink(job, 1, 1, 1) == 0, "it may run three"
    assert await stage.jobs.shrink(job, 2, 3, 1) == 0
    await stage.scale(job, 1)
    assert await stage.jobs.shrink(job, 1, 3, 1) == 0
    assert await stage.jobs.shrink(job, 1, 1, 1) == 0, "by what was before"
    freed = await asyncio.gather(*(stage.jobs.shrink(job, 1, 1, 2) for _ in range(4)))
    assert sorted(freed) == [0, 0, 0, 2]


async def test_k13_a_release_by_who_was_paused_frees_nothing_that_runs_again(
    stage, scheduler, database, driver
):
    await stage.has(t4=3)
    job = await running(stage, scheduler, gpus=1, types=["t4"], copies=3)
    await stage.scale(job, 1)
    paused = Scheduler(database, driver, target="process", options=OPTIONS)
    snapshot = await paused._store.snapshot()  # it saw that one may run, and stood still
    [work] = snapshot.works
    await stage.scale(job, 3)
    await turns(scheduler)
    assert (await stage.get(job)).granted == 3
    driver.lingers = True
    await stage.scale(job, 1)
    late = Release(replica=Replica(job, 1), granted=work.granted, grants=work.grants)
    driver.show(Replica(job, 1), Phase.READY, copies=1, wanted=1)  # its picture is as old
    await paused._performer.perform(late)
    assert len(await stage.held()) == 3
    driver.show(Replica(job, 1), Phase.READY, copies=3, wanted=3)
    await turns(scheduler)
    driver.reap(Replica(job, 1))
    await turns(scheduler)
    assert len(await stage.held()) == 1


async def test_gpus_are_freed_by_how_things_are_and_not_by_what_was_seen(stage, scheduler, driver):
    await stage.has(t4=2)
    job = await running(stage, scheduler, gpus=1, types=["t4"], copies=2)
    replica = Replica(job, 1)
    driver.lingers = True
    await stage.scale(job, 1)
    await turns(scheduler)
    old = driver._seen[replica]

    async def observe():
        return {replica: msgspec.structs.replace(old, copies=1, wanted=1)}

    driver.observe = observe
    await turns(scheduler)
    assert len(await stage.held()) == 2


async def test_what_a_picture_does_not_show_yet_is_not_lost(stage, scheduler, driver):
    job = await running(stage, scheduler)

    async def observe():
        return {}

    driver.observe = observe
    await turns(scheduler)
    found = await stage.get(job)
    assert (found.state, found.attempt) == ("running", 1)
    assert driver.stops == []


async def test_who_asks_for_more_queues_behind_those_who_came_before(stage, scheduler):
    await stage.has(t4=2)
    job = await running(stage, scheduler, gpus=1, types=["t4"])
    first = await running(stage, scheduler, gpus=1, types=["t4"])
    early = await stage.job(gpus=1, types=["t4"])
    await stage.scale(job, 2)
    await stage.say(JobStopping(job=first))
    await turns(scheduler, 8)
    assert (await stage.get(job)).granted == 1
    assert await stage.state(early) == "running"
    await stage.say(JobStopping(job=early))
    await turns(scheduler, 8)
    assert (await stage.get(job)).granted == 2


async def test_all_copies_have_gpus_of_one_type(stage, scheduler):
    await stage.has(a100=1, t4=3)
    job = await running(stage, scheduler, gpus=1, types=["a100", "t4"])
    assert list(await stage.held()) == ["process/a100-0"]
    await stage.scale(job, 2)
    await turns(scheduler)
    assert list(await stage.held()) == ["process/a100-0"]
    both = await running(stage, scheduler, gpus=1, types=["a100", "t4"], copies=3)
    assert [gpu for gpu, by in (await stage.held()).items() if by.job == both] == [
        f"process/t4-{n}" for n in range(3)
    ]


async def test_a_job_is_routed_to_where_its_copies_are(stage, scheduler, driver):
    job = await running(stage, scheduler)
    replica = Replica(job, 1)
    driver.show(replica, Phase.READY, addresses=("http://127.0.0.1:1", "http://127.0.0.1:2"))
    await turns(scheduler)
    assert (await stage.get(job)).addresses == ("http://127.0.0.1:1", "http://127.0.0.1:2")
    driver.show(replica, Phase.CRASHING, addresses=(), reason="back-off 40s")
    await turns(scheduler)
    found = await stage.get(job)
    assert (found.state, found.addresses, found.reason) == ("running", (), "back-off 40s")
    driver.show(replica, Phase.READY, addresses=("http://127.0.0.1:2",), reason="")
    await turns(scheduler)
    found = await stage.get(job)
    assert (found.addresses, found.reason) == (("http://127.0.0.1:2",), "")
    assert (await stage.facts(job)).count("moved") == 3


async def test_what_is_not_ready_for_a_moment_keeps_its_address(stage, database, driver):
    patient = msgspec.structs.replace(OPTIONS, policy=Policy(drain=0.0, patience=3600.0))
    scheduler = Scheduler(database, driver, target="process", options=patient)
    job = await running(stage, scheduler)
    before = (await stage.get(job)).addresses
    driver.show(Replica(job, 1), Phase.STARTING, addresses=())
    await turns(scheduler)
    assert (await stage.get(job)).addresses == before


async def test_what_somebody_else_changed_is_put_right(stage, scheduler, driver):
    job = await running(stage, scheduler)
    driver.show(Replica(job, 1), Phase.READY, drift="Deployment: its image was changed")
    await turns(scheduler)
    assert (await driver.observe())[Replica(job, 1)].drift == ""
    assert (await stage.facts(job)).count("repaired") == 1
    driver.show(Replica(job, 1), Phase.READY, wanted=7)
    await turns(scheduler)
    assert (await driver.observe())[Replica(job, 1)].wanted == 1
    assert await stage.state(job) == "running"


async def test_one_who_changes_it_again_and_again_is_answered_at_times(stage, database, driver):
    calm = msgspec.structs.replace(OPTIONS, repair_every=3600.0)
    scheduler = Scheduler(database, driver, target="process", options=calm)
    job = await running(stage, scheduler)
    for _ in range(3):
        driver.show(Replica(job, 1), Phase.READY, drift="its image")
        await turns(scheduler)
    assert (await stage.facts(job)).count("repaired") == 1


async def test_what_can_not_be_adjusted_runs_on_as_it_is(stage, scheduler, driver):
    job = await running(stage, scheduler)
    driver.refuses[driver.workloads[Replica(job, 1)].image] = "not allowed any more"
    await stage.scale(job, 3)
    await turns(scheduler)
    assert (await stage.state(job), driver.workloads[Replica(job, 1)].copies) == ("running", 1)


async def test_what_another_target_runs_in_the_same_place_is_not_ended(
    stage, scheduler, database, driver
):
    job = await running(stage, scheduler)
    other = Scheduler(database, driver, target="elsewhere", options=OPTIONS)
    await turns(other)
    assert driver.stops == []
    assert await stage.state(job) == "running"
    await stage.say(JobStopping(job=job))
    await turns(other)
    assert driver.stops == []
    await turns(scheduler)
    assert driver.stops == [Replica(job, 1)]


async def test_a_lost_job_starts_anew_with_its_copies(stage, scheduler, driver):
    await stage.has(t4=3)
    job = await running(stage, scheduler, gpus=1, types=["t4"], copies=3)
    driver.vanish(Replica(job, 1))
    await turns(scheduler, 10)
    found = await stage.get(job)
    assert (found.state, found.attempt, found.granted) == ("running", 2, 3)
    assert set((await stage.held()).values()) == {Replica(job, 2)}


async def test_nothing_is_written_when_nothing_has_changed(stage, scheduler):
    await stage.has(t4=3)
    await running(stage, scheduler, gpus=1, types=["t4"], copies=9)
    await turns(scheduler)
    before = await stage.written()
    await turns(scheduler)
    assert await stage.written() == before


async def fair(stage: Stage, driver: FakeDriver) -> None:
    """No copy runs without its GPUs, and none is held by two, now or ever."""
    held = list((await stage.held()).values())
    for replica, seen in (await driver.observe()).items():
        count = (await stage.get(replica.job)).gpu_count
        if replica in driver.workloads and seen.phase is not Phase.GONE:
            assert held.count(replica) >= seen.copies * count, replica
            assert (
                len(driver.workloads[replica].devices) == driver.workloads[replica].copies * count
            )
    overlaps = await stage.database.value(
        "SELECT count(*) FROM allocations AS a JOIN allocations AS b"
        " ON a.gpu = b.gpu AND a.seq < b.seq"
        " AND (a.released_at IS NULL OR b.held_at < a.released_at)"
    )
    assert overlaps == 0
    spread = await stage.database.value(
        "SELECT count(*) FROM (SELECT job, attempt, copy FROM allocations JOIN gpus ON id = gpu"
        " WHERE released_at IS NULL GROUP BY job, attempt, copy"
        " HAVING count(DISTINCT (node, type)) > 1) AS split"
    )
    assert spread == 0


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_no_gpu_is_given_twice_and_none_is_lost(
    stage, database, driver, seed
):
    chance = random.Random(seed)
    await stage.machines(2, 3, 1)
    await stage.machines(2, 2, kind="a100")
    several = [Scheduler(database, driver, target="process", options=OPTIONS) for _ in range(2)]
    jobs = []
    driver.lingers = chance.random() < 0.7
    for _ in range(60):
        what = chance.random()
        live = [job for job in jobs if await stage.state(job) in ("starting", "running", "queued")]
        if what < 0.2 or not jobs:
            types = chance.choice([["t4"], ["a100"], ["a100", "t4"], []])
            needs = {"gpus": chance.randrange(4), "types": types, "copies": chance.randint(1, 4)}
            jobs.append(await stage.job(**needs))
        elif what < 0.45 and live:
            await stage.scale(chance.choice(live), chance.randint(1, 5))
        elif what < 0.55 and live:
            await stage.say_now(JobStopping, chance.choice(live))
        elif what < 0.6:
            await stage.say_now(JobRestarted, chance.choice(jobs))
        elif what < 0.7 and driver.workloads:
            driver.reap(chance.choice(sorted(driver.workloads)))
        elif what < 0.75 and driver.workloads:
            driver.vanish(chance.choice(sorted(driver.workloads)), trace=chance.random() < 0.5)
        elif what < 0.8:
            driver.troubles = chance.randrange(3)
        await several[0].turn()
        if chance.random() < 0.5:
            await several[0].settle()
        await fair(stage, driver)
    await several[0].settle()
    driver.lingers, driver.troubles = False, 0
    for replica in list(driver.workloads):
        driver.reap(replica)
    for job in jobs:
        await stage.say_now(JobStopping, job)
    await turns(several[1], 8)
    assert await stage.held() == {}
    assert driver.workloads == {}
