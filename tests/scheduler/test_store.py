"""The picture that the queue is decided on: what is read of the tables, and what is not."""

from __future__ import annotations

import pytest

from services.scheduler import depth
from services.scheduler.queue.decide import decide
from services.scheduler.queue.values import Holder
from services.scheduler.store import Store
from shared.database.pool import Database
from shared.events import JobPlaced, JobStopping


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, "process")


async def shown(store):
    picture = (await store.snapshot()).picture
    return [waiting.job for waiting in picture.waiting]


async def test_of_each_owner_class_and_wish_the_first_are_read(stage, store, monkeypatch):
    monkeypatch.setattr(depth, "GPUS", 4)
    await stage.owner("bob")
    mine = [await stage.job(gpus=1, types=["t4"]) for _ in range(3)]
    urgent = [await stage.job(gpus=1, types=["t4"], priority=100) for _ in range(3)]
    other = [await stage.job(gpus=1, types=["a100"]) for _ in range(3)]
    his = [await stage.job(gpus=1, types=["t4"], owner="bob") for _ in range(3)]
    none = [await stage.job() for _ in range(3)]
    snapshot = await store.snapshot()
    found = {waiting.job for waiting in snapshot.picture.waiting}
    assert found == {mine[0], urgent[0], other[0], his[0], *none}
    assert snapshot.picture.behind == {"ada": 6, "bob": 2}
    assert snapshot.waiting == {("ada", 0): 9, ("ada", 100): 3, ("bob", 0): 3}
    assert all(head.cut for head in snapshot.heads)


async def test_behind_jobs_that_can_never_start_it_reads_on(stage, store, monkeypatch):
    monkeypatch.setattr(depth, "GPUS", 1)
    await stage.has(t4=1)
    for _ in range(5):
        await stage.job(gpus=1, types=["t4"], max_price=-1.0)
    # whether it has the same number or not: neither hides the other
    able = await stage.job(gpus=1, types=["t4"])
    for _ in range(5):
        snapshot = await store.snapshot()
        decision = decide(snapshot.picture)
        store.decided(snapshot, decision)
    assert [each.job for each in decision.placements] == [able]


async def test_those_of_an_array_come_in_its_order(stage, store, database):
    await stage.has(t4=1)
    jobs = [await stage.job(gpus=1, types=["t4"]) for _ in range(20)]
    await database.execute("UPDATE jobs SET queued_at = now()")  # as one who submits them all
    snapshot = await store.snapshot()
    assert len({waiting.age for waiting in snapshot.picture.waiting}) == 1
    assert [each.job for each in decide(snapshot.picture).placements] == [jobs[0]]


async def test_a_job_is_read_as_it_was_asked_for(stage, store):
    await stage.has(t4=1)
    job = await stage.job(
        gpus=2, types=["t4", "a100"], max_price=0.5, copies=3, priority=100, gang=True,
        preemptible=True, run_at_most=60.0,
    )  # fmt: skip
    (waiting,) = (await store.snapshot()).picture.waiting
    assert (waiting.job, waiting.owner, waiting.priority) == (job, "ada", 100)
    assert (waiting.count, waiting.types, waiting.max_price) == (2, ("t4", "a100"), 0.5)
    assert (waiting.copies, waiting.gang, waiting.preemptible) == (3, True, True)
    assert waiting.run_at_most == 60.0
    assert 0.0 <= waiting.age < 60.0


async def test_who_holds_gpus_is_told_with_when_they_come_back(stage, store):
    await stage.has(t4=3)
    first, second = [await stage.job(gpus=1, run_at_most=100.0, preemptible=True) for _ in "ab"]
    for number, job in enumerate((first, second)):
        fact = JobPlaced(job=job, attempt=1, gpus=(f"process/t4-{number}",))
        assert await stage.jobs.place(fact)
    await stage.later(first, 40.0)
    await stage.say(JobStopping(job=second))
    picture = (await store.snapshot()).picture
    assert [slot.job for slot in picture.slots] == [first, second, None]
    assert picture.holders[first] == Holder(
        job=first,
        attempt=1,
        owner="ada",
        preemptible=True,
        age=pytest.approx(40.0, abs=20.0),
        ends_in=pytest.approx(60.0, abs=20.0),
    )
    assert (picture.holders[second].ending, picture.holders[second].stuck) == (True, False)
    for each in (first, second):
        await stage.age(each, 301.0)
    picture = (await store.snapshot()).picture
    assert [picture.holders[each].stuck for each in (first, second)] == [False, True]


async def test_a_gpu_that_is_not_to_be_trusted_is_shown_while_it_is_held(stage, store):
    await stage.has(t4=2)
    job = await stage.job(gpus=1)
    await stage.jobs.place(JobPlaced(job=job, attempt=1, gpus=("process/t4-0",)))
    await stage.database.execute("UPDATE gpus SET quarantine = 'errors'")
    picture = (await store.snapshot()).picture
    assert [slot.gpu for slot in picture.slots] == ["process/t4-0"]


async def test_what_was_released_goes_on_being_waited_for_until_it_is_proven_free(stage, store):
    await stage.machines(2)
    await stage.database.execute("UPDATE gpus SET checked = true")
    job, other = [await stage.job(gpus=1) for _ in range(2)]
    for each, gpu in ((job, "process/t4-n0-0"), (other, "process/t4-n0-1")):
        await stage.jobs.place(JobPlaced(job=each, attempt=1, gpus=(gpu,)))
    wide = await stage.job(gpus=2)
    await stage.job(gpus=1)
    await stage.jobs.release(job, 1)
    await stage.database.execute("UPDATE gpus SET unproven = false")
    await stage.jobs.release(other, 1)
    decision = decide((await store.snapshot()).picture)
    # else the one behind it would have what it waits for, again and again
    assert (decision.placements, decision.waits[wide].cause) == ([], "gpus")
    await stage.database.execute("UPDATE gpus SET unproven = false")
    assert [each.job for each in decide((await store.snapshot()).picture).placements] == [wide]


async def test_who_has_spent_all_stands_before_nobody_that_needs_no_gpu(stage, store, monkeypatch):
    monkeypatch.setattr(depth, "NO_GPUS", 4)
    await stage.owner("bob")
    held = [await stage.job() for _ in range(5)]
    his = [await stage.job(owner="bob") for _ in range(3)]
    await stage.database.execute(
        "INSERT INTO budgets (owner, monthly, month, reached)"
        " VALUES ('ada', 1, date_trunc('month', now() AT TIME ZONE 'UTC'), true)"
    )
    decision = decide((await store.snapshot()).picture)
    assert [each.job for each in decision.placements] == his[:2]
    assert {job: waits.cause for job, waits in decision.waits.items()} == dict.fromkeys(
        held[:2], "budget"
    )
