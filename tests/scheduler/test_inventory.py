from __future__ import annotations

import pytest

from services.scheduler.driver import Gpu
from services.scheduler.inventory import Inventory, Row, changes, declared, prices
from services.scheduler.nvml import Nvml, short_name
from shared.errors import Invalid
from shared.events import GpuAppeared, GpuVanished
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


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 3090", "rtx3090"),
        ("NVIDIA GeForce RTX 2070 SUPER", "rtx2070s"),
        ("NVIDIA GeForce RTX 2080 Ti", "rtx2080ti"),
        ("NVIDIA RTX A6000", "a6000"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx6000ada"),
    ],
)
def test_a_device_is_called_what_people_call_it(name, short):
    assert short_name(name) == short


async def test_a_machine_without_the_nvidia_driver_has_no_gpus_and_says_so_once(
    caplog, monkeypatch
):
    import pynvml

    def away():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", away)
    caplog.set_level("INFO", "services.scheduler.nvml")
    ask = Nvml("process")
    assert [await ask(), await ask()] == [[], []]
    assert len(caplog.records) == 1


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
