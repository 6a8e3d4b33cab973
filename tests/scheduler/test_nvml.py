from __future__ import annotations

import threading

import pynvml  # type: ignore[import-untyped]
import pytest

from services.scheduler.nvidia import Nvidia, Silent
from services.scheduler.nvml import Nvml, short_name
from tests.scheduler.cards import PlayedCard, PlayedLibrary


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "a100mig1g.5gb"),
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


@pytest.fixture
def library():
    return PlayedLibrary(PlayedCard("GPU-1"), PlayedCard("GPU-2"))


@pytest.fixture
def ask(library, caplog):
    caplog.set_level("INFO", "services.scheduler.nvml")
    return Nvml("process", Nvidia(library))


async def test_L10_a_machine_without_the_nvidia_driver_has_no_gpus_and_says_so_once(
    ask, library, caplog
):
    library.error = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    assert [await ask(), await ask()] == [[], []]
    [said] = caplog.messages
    assert said.startswith("no NVIDIA GPUs: ")
    assert said.endswith("; jobs without GPUs run")


async def test_L10_a_driver_that_does_not_answer_is_told_once_until_it_does(ask, library, caplog):
    for error in (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, None) * 2:
        library.error = error
        for _ in range(2):
            if error is None:
                assert len(await ask()) == 2
            else:
                with pytest.raises(Silent):
                    await ask()
        library.error = pynvml.NVML_ERROR_UNKNOWN  # its session ends
        with pytest.raises(Silent):
            await ask()
    mismatches = [each for each in caplog.messages if "mismatch" in each.lower()]
    assert len(mismatches) == 2


async def test_a_driver_that_hangs_is_silent_and_not_asked_again_meanwhile(library):
    asked, answer = [], threading.Event()

    class Hanging:
        def cards(self):
            asked.append(1)
            assert answer.wait(30)
            return Nvidia(library).cards()

    ask = Nvml("process", Hanging(), answer=0.01)
    for _ in range(3):
        with pytest.raises(Silent, match="said nothing for"):
            await ask()
    assert len(asked) == 1
    answer.set()
    while True:
        try:
            found = await ask()
            break
        except Silent:
            continue
    assert len(found) == 2
    assert len(asked) == 1


async def test_S08_a_gpu_that_is_lost_is_still_called_what_it_was(ask, library):
    before = await ask()
    library.cards[0].error = pynvml.NVML_ERROR_GPU_IS_LOST
    lost, other = await ask()
    assert (lost.id, other.id) == (before[0].id, before[1].id)
    assert lost.health.broken
    assert not other.health.fatal


async def test_a_gpu_that_was_lost_before_we_came_has_no_name(ask, library):
    library.cards[0].error = pynvml.NVML_ERROR_GPU_IS_LOST
    assert [gpu.device for gpu in await ask()] == ["GPU-2"]


async def test_L10_parts_of_a_gpu_are_machines_of_their_own_for_a_program_sees_one(
    ask, library, caplog
):
    card = library.cards[0]
    card.mig = True
    card.parts = [PlayedCard(f"MIG-{n}", "NVIDIA A100-SXM4-40GB MIG 1g.5gb") for n in range(2)]
    for _ in range(2):
        found = await ask()
    assert [(gpu.type, gpu.device, gpu.node) for gpu in found] == [
        ("a100mig1g.5gb", "MIG-0", "MIG-0"),
        ("a100mig1g.5gb", "MIG-1", "MIG-1"),
        ("h100", "GPU-2", ""),
    ]
    assert caplog.messages == ["GPU 0 is split by MIG, and counts as 2"]
