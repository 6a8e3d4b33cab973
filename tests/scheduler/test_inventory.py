from __future__ import annotations

import asyncio

import asyncpg
import pynvml  # type: ignore[import-untyped]
import pytest

from services.scheduler.driver import Gpu
from services.scheduler.epoch import Deposed, Epoch
from services.scheduler.inventory import Inventory, declared, prices
from services.scheduler.merge import Row, changes
from services.scheduler.nvidia import Nvidia
from services.scheduler.nvml import Nvml
from services.scheduler.store import Store
from shared.endpoint import Run
from shared.errors import Invalid
from shared.events import (
    GpuAppeared,
    GpuQuarantined,
    GpuReleased,
    GpuRestored,
    GpuVanished,
    JobPlaced,
)
from tests.scheduler.cards import GIB, PlayedCard, PlayedLibrary
from tests.scheduler.stage import Stage


def test_declared_gpus_have_ids_of_their_type_and_numbers_of_their_own():
    assert [(gpu.id, gpu.type, gpu.device) for gpu in declared("RTX 3090:2,a100:1", "process")] == [
        ("process/rtx3090-0", "rtx3090", "0"),
        ("process/rtx3090-1", "rtx3090", "1"),
        ("process/a100-0", "a100", "2"),
    ]


def test_nothing_declared_is_nothing():
    assert declared(" ", "process") == []
    assert prices("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rtx3090", "'rtx3090' is not TYPE:NUMBER, as in rtx3090:4,a100:2"),
        (":4", "':4' is not TYPE:NUMBER, as in rtx3090:4,a100:2"),
        ("a/b:4", "'a/b:4' is not TYPE:NUMBER, as in rtx3090:4,a100:2"),
        ("rtx3090:0", "the count of rtx3090 is not a number from 1 to 10000"),
        ("rtx3090:-1", "the count of rtx3090 is not a number from 1 to 10000"),
        ("rtx3090:many", "the count of rtx3090 is not a number from 1 to 10000"),
        ("rtx3090:²", "the count of rtx3090 is not a number from 1 to 10000"),
        ("rtx3090:99999", "the count of rtx3090 is not a number from 1 to 10000"),
        ("a100:10000000", "the count of a100 is not a number from 1 to 10000"),
        ("a100:1,A100:2", "a100 is given twice"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(text, message):
    with pytest.raises(Invalid) as caught:
        declared(text, "process")
    assert (caught.value.field, caught.value.message) == ("SLIPWAY_GPUS", message)


@pytest.mark.parametrize("value", ["free", "-1", "nan", "1e3", ""])
def test_a_wrong_price_says_so(value):
    with pytest.raises(Invalid, match="SLIPWAY_PRICES: the price of a100 is not a number like"):
        prices(f"a100:{value}")


def test_prices_are_by_type():
    assert prices("RTX 3090:0.5, a100:2") == {"rtx3090": 0.5, "a100": 2.0}


ROW = Row(id="process/t4-0", type="t4", device="0", memory=0, node="", present=True, price=0.5)
GPU = Gpu(id="process/t4-0", type="t4", device="0")


def test_a_gpu_that_is_there_as_before_changes_nothing():
    assert changes([ROW], [GPU], {"t4": 0.5}) == ([], [])


def test_a_new_price_is_written_and_not_announced():
    changed, facts = changes([ROW], [GPU], {"t4": 0.7})
    assert [row.price for row in changed] == [0.7]
    assert facts == []


@pytest.fixture
async def stage(database):
    stage = Stage(database)
    await stage.prepare()
    return stage


async def facts(stage):
    rows = await stage.database.fetch(
        "SELECT type, subject FROM events WHERE type LIKE 'slipway.gpu.%' ORDER BY seq"
    )
    return [tuple(row) for row in rows]


async def offered(stage):
    rows = await stage.database.fetch("SELECT id FROM gpus WHERE present ORDER BY id")
    return [row["id"] for row in rows]


async def test_S08_gpus_come_and_go_and_each_change_is_announced_once(stage):
    there = [GPU, Gpu(id="process/t4-1", type="t4", device="1")]

    async def source():
        return there

    inventory = Inventory(stage.database, "process", source, {})
    await inventory.refresh()
    await inventory.refresh()
    assert await offered(stage) == ["process/t4-0", "process/t4-1"]
    lost = there.pop()
    await inventory.refresh()
    await inventory.refresh()
    assert await offered(stage) == ["process/t4-0"]
    there.append(lost)
    await inventory.refresh()
    assert await offered(stage) == ["process/t4-0", "process/t4-1"]
    assert await facts(stage) == [
        (GpuAppeared.type, "process/t4-0"),
        (GpuAppeared.type, "process/t4-1"),
        (GpuVanished.type, "process/t4-1"),
        (GpuAppeared.type, "process/t4-1"),
    ]


async def test_S16_looking_again_writes_nothing(stage):
    async def source():
        return [GPU]

    inventory = Inventory(stage.database, "process", source, {"t4": 1.0})
    await inventory.refresh()
    before = await stage.written()
    await inventory.refresh()
    assert await stage.written() == before


@pytest.fixture
def library():
    return PlayedLibrary(PlayedCard("GPU-1"), PlayedCard("GPU-2"))


@pytest.fixture
def played(stage, library):
    """An inventory of played cards. Others like it are what comes after a restart."""
    return lambda: Inventory(stage.database, "process", Nvml("process", Nvidia(library)), {})


async def placed(stage, *gpus, **columns):
    job = await stage.job(gpus=len(gpus), **columns)
    names = tuple(f"process/{gpu}" for gpu in gpus)
    assert await stage.jobs.place(JobPlaced(job=job, gpus=names))
    return job


async def free(stage):
    """Those that the scheduler may give away."""
    picture = (await Store(stage.database, "process").snapshot()).picture
    return [slot.gpu.removeprefix("process/") for slot in picture.slots if slot.free]


async def test_S08_a_job_on_a_gpu_that_is_lost_fails_with_that_and_the_gpu_is_given_to_nobody(
    stage, library, played
):
    inventory = played()
    await inventory.refresh()
    job = await placed(stage, "GPU-1")
    other = await placed(stage, "GPU-2")
    library.cards[0].error = pynvml.NVML_ERROR_GPU_IS_LOST
    for _ in range(2):
        await inventory.refresh()
    assert await stage.state(job) == "failed"
    assert (await stage.get(job)).reason.startswith("its GPU process/GPU-1 is lost: ")
    assert await stage.state(other) == "starting"
    # its processes are yet to be stopped
    assert (await stage.held())["process/GPU-1"].job == job
    await stage.jobs.release(job, 1)
    await inventory.refresh()
    assert await free(stage) == []
    library.cards[0].error = None
    await inventory.refresh()
    assert await free(stage) == ["GPU-1"]
    assert [kind for kind, _ in await facts(stage)] == [
        GpuAppeared.type,
        GpuAppeared.type,
        GpuQuarantined.type,
        GpuReleased.type,
        GpuRestored.type,
    ]


async def test_S08_a_job_on_a_gpu_that_is_gone_after_a_restart_fails_with_that(
    stage, library, played
):
    await played().refresh()
    job = await placed(stage, "GPU-1")
    library.cards[0].error = pynvml.NVML_ERROR_GPU_IS_LOST
    await played().refresh()
    reason = (await stage.get(job)).reason
    assert reason == "its GPU process/GPU-1 is lost: it is not there any more"


async def test_S08_a_batch_job_with_tries_left_has_the_next_one(stage, library, played):
    inventory = played()
    await inventory.refresh()
    run = Run(lines=("train",))
    jobs = [
        await placed(stage, gpu, run=run, retries=retries)
        for gpu, retries in (("GPU-1", 2), ("GPU-2", 0))
    ]
    library.xids = [(card, 79) for card in library.cards]
    await inventory.refresh()
    again, over = [await stage.get(job) for job in jobs]
    assert (again.state, again.attempt, over.state) == ("queued", 2, "failed")
    assert await stage.database.value("SELECT retries FROM jobs WHERE id = $1", jobs[0]) == 1


async def test_a_gpu_with_an_xid_stays_out_over_restarts_until_its_driver_says_that_it_is_well(
    stage, library, played
):
    inventory = played()
    await inventory.refresh()
    library.xids = [(library.cards[0], 79)]
    library.cards[0].action = None
    for each in (inventory, inventory, played(), played()):
        await each.refresh()
        assert await free(stage) == ["GPU-2"]
    library.cards[0].action = 0
    await played().refresh()
    assert await free(stage) == ["GPU-1", "GPU-2"]


async def test_an_xid_that_could_not_be_written_down_is_when_that_works_again(
    stage, library, monkeypatch, played
):
    inventory = played()
    await inventory.refresh()
    job = await placed(stage, "GPU-1")
    library.xids = [(library.cards[0], 79)]
    with monkeypatch.context() as away:
        away.setattr("services.scheduler.inventory.KNOWN_GPUS", "SELECT $1::text, 1/0")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await inventory.refresh()
    await inventory.refresh()
    assert (await stage.get(job)).reason == "its GPU process/GPU-1 is lost: Xid 79"


async def test_who_was_not_ended_when_its_gpu_was_lost_is_at_the_next_look(
    stage, library, monkeypatch, played
):
    await played().refresh()
    job = await placed(stage, "GPU-1")
    library.xids, library.cards[0].action = [(library.cards[0], 79)], 1
    with monkeypatch.context() as killed:
        killed.setattr("services.scheduler.casualties.CASUALTIES", "SELECT 1/0, $1::text[]")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await played().refresh()
    assert await stage.state(job) == "starting"
    library.cards[0].action = None
    await played().refresh()
    assert await stage.state(job) == "failed"


async def test_S09_a_released_gpu_is_offered_once_its_memory_is_free(stage, library, played):
    inventory = played()
    await inventory.refresh()
    job = await placed(stage, "GPU-1")
    library.cards[0].hold(7, 2 * GIB)
    await inventory.refresh()  # it is whose it is
    assert not await stage.database.value("SELECT max(quarantine) FROM gpus")
    await stage.jobs.release(job, 1)
    assert await free(stage) == ["GPU-2"]
    await inventory.refresh()  # memory takes a moment to come back
    assert await free(stage) == ["GPU-2"]
    assert not await stage.database.value("SELECT max(quarantine) FROM gpus")
    await inventory.refresh()
    assert await free(stage) == ["GPU-2"]
    said = await stage.database.value("SELECT max(quarantine) FROM gpus")
    assert said == "2048 MiB still held by process 7"
    library.cards[0].computing, library.cards[0].used = {}, 0
    await played().refresh()
    assert await free(stage) == ["GPU-1", "GPU-2"]


async def test_S09_what_is_released_while_they_are_looked_at_is_looked_at_again(
    stage, library, played
):
    await played().refresh()
    job = await placed(stage, "GPU-1")
    ask = Nvml("process", Nvidia(library))

    async def source():
        found = await ask()
        await stage.jobs.release(job, 1)  # after all was seen
        return found

    inventory = Inventory(stage.database, "process", source, {})
    await inventory.refresh()
    assert await free(stage) == ["GPU-2"]
    await inventory.refresh()
    assert await free(stage) == ["GPU-1", "GPU-2"]


async def test_S09_what_is_given_and_released_while_they_are_looked_at_is_looked_at_again(
    stage, library, played
):
    await played().refresh()
    ask = Nvml("process", Nvidia(library))

    async def source():
        found = await ask()
        await stage.jobs.release(await placed(stage, "GPU-1"), 1)  # its memory may be in use now
        return found

    await Inventory(stage.database, "process", source, {}).refresh()
    assert await free(stage) == ["GPU-2"]
    await played().refresh()
    assert await free(stage) == ["GPU-1", "GPU-2"]


async def test_S09_memory_that_others_hold_keeps_a_gpu_out_from_the_first(stage, library, played):
    library.cards[0].hold(7, GIB)
    await played().refresh()
    assert await free(stage) == ["GPU-2"]


async def test_declared_gpus_are_free_once_they_are_released(stage):
    async def source():
        return [GPU]

    inventory = Inventory(stage.database, "process", source, {})
    await inventory.refresh()
    job = await placed(stage, "t4-0")
    await stage.jobs.release(job, 1)
    assert await free(stage) == ["t4-0"]


async def test_L10_while_a_driver_is_silent_nothing_is_given_and_what_runs_goes_on(
    stage, library, played
):
    inventory = played()
    await inventory.refresh()
    job = await placed(stage, "GPU-1")
    library.error = pynvml.NVML_ERROR_UNKNOWN
    for each in (inventory, inventory, played()):
        await each.refresh()
        assert await free(stage) == []
    assert await stage.state(job) == "starting"
    library.error = None
    await inventory.refresh()
    assert await free(stage) == ["GPU-2"]
    kinds = [kind for kind, _ in await facts(stage)]
    assert (kinds.count(GpuQuarantined.type), kinds.count(GpuRestored.type)) == (2, 2)


async def test_L10_where_no_driver_is_any_more_what_runs_goes_on(stage, library, played):
    await played().refresh()
    job = await placed(stage, "GPU-1")
    library.error = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    await played().refresh()
    assert (await free(stage), await stage.state(job)) == ([], "starting")


async def test_a_job_on_a_gpu_that_is_not_declared_any_more_goes_on(stage, library, played):
    await stage.has(t4=1)
    job = await placed(stage, "t4-0")
    await played().refresh()
    assert await stage.state(job) == "starting"


async def test_S16_looking_again_at_what_is_not_well_writes_nothing(stage, library, played):
    library.cards[0].hold(7, GIB)
    library.cards[1].ecc = 3
    inventory = played()
    await inventory.refresh()
    before = await stage.written()
    library.cards[0].used += GIB
    await inventory.refresh()
    assert await stage.written() == before


async def test_one_who_is_deposed_judges_no_gpu(stage, library):
    epoch = Epoch("process")
    epoch.number = 1
    await stage.database.execute("INSERT INTO leaders (target, epoch) VALUES ('process', 2)")
    inventory = Inventory(stage.database, "process", Nvml("process", Nvidia(library)), {}, epoch)
    with pytest.raises(Deposed):
        await inventory.refresh()
    assert await facts(stage) == []


async def test_a_release_is_looked_at_soon(stage, library, played):
    inventory, stopping = played(), asyncio.Event()
    await inventory.refresh()
    job = await placed(stage, "GPU-1")
    acting = asyncio.create_task(inventory.act(stopping, every=3600.0))
    await stage.jobs.release(job, 1)
    while "GPU-1" not in await free(stage):
        await inventory.on_event(None)
        await asyncio.sleep(0)
    stopping.set()
    await acting
