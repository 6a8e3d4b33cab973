"""What a container may not do: use more than it was given, gain rights, or reach its neighbours."""

from __future__ import annotations

import json

import msgspec
import pytest

from services.scheduler.driver import Phase, Refused
from shared.endpoint import Range, Resources
from tests.scheduler.container.bed import Bed
from tests.scheduler.targets import Target, get


async def test_it_has_no_capabilities_and_can_gain_none(on: Target) -> None:
    work = await on.shell("grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; sleep 600")
    await on.started(work)
    assert [line.split()[1] for line in await on.texts(work.replica, 3)] == ["0" * 16] * 2 + ["1"]


async def test_it_may_listen_on_a_low_port_beside_another_that_does(on: Target) -> None:
    works = [await on.serving(job=f"j{n}", port=80) for n in range(2)]
    for work in works:
        assert json.loads(await get(await on.started(work), "/hello")) == "hello"


async def test_K12_replicas_do_not_reach_one_another(on: Target) -> None:
    reached = (
        "import os, socket\n"
        "host, port = os.environ['OTHER'].split(':')\n"
        "try:\n"
        "    socket.create_connection((host, int(port)), 2); print('reached', flush=True)\n"
        "except OSError as error: print('walled', flush=True)\n"
        "import time; time.sleep(600)\n"
    )
    other = await on.serving(job="j1")
    address = (await on.started(other)).removeprefix("http://")
    await on.until(other.replica, Phase.READY)
    work = await on.made(
        *("python", "reach.py"),
        job="j2",
        code={"reach.py": reached},
        environment={"OTHER": address},
        readiness="none",
    )
    await on.started(work)
    assert await on.texts(work.replica, 1) == ["walled"]


async def test_K12_replicas_do_not_reach_one_another_when_others_have_gone(on: Target) -> None:
    reaching = (
        "import os, socket, time\n"
        "host, port = os.environ['OTHER'].split(':')\n"
        "while True:\n"
        "    try:\n"
        "        socket.create_connection((host, int(port)), 1); print('reached', flush=True)\n"
        "    except OSError as error: print('walled', flush=True)\n"
        "    time.sleep(0.2)\n"
    )
    other = await on.serving(job="j1")
    address = (await on.started(other)).removeprefix("http://")
    await on.until(other.replica, Phase.READY)
    third = await on.serving(job="j3")
    await on.started(third)
    work = await on.made(
        *("python", "reach.py"),
        job="j2",
        code={"reach.py": reaching},
        environment={"OTHER": address},
        readiness="none",
    )
    await on.started(work)
    await on.texts(work.replica, 1)
    await on.driver.stop(third.replica, 1.0)
    before = len(await on.texts(work.replica, 1))
    assert set(await on.texts(work.replica, before + 4)) == {"walled"}


async def test_L04_who_takes_too_much_memory_is_killed_alone(on: Target) -> None:
    resources = Resources(memory=Range(max=64), cpu=Range(min=0.5, max=1))
    hog = "import os\nprint('up', flush=True)\nx = bytearray(256 << 20)\n"
    work = await on.made(
        "python", "hog.py", code={"hog.py": hog}, resources=resources, readiness="none"
    )
    await on.started(work)
    seen = await on.until(work.replica, Phase.CRASHING)
    assert seen.exit_code == -9
    assert "memory" in seen.reason


async def test_L04_a_fork_bomb_ends_with_its_container(on: Target, bed: Bed) -> None:
    neighbour = await on.serving(job="neighbour")
    address = await on.started(neighbour)
    work = await on.shell("bomb() { bomb | bomb & }; bomb 2>/dev/null; echo lit; sleep 600")
    await on.started(work)
    await on.texts(work.replica, 1)
    limit = (await bed.container(on.home, work.replica))["HostConfig"]["PidsLimit"]
    assert limit == 4096
    assert json.loads(await get(address, "/hello")) == "hello"
    await on.driver.stop(work.replica, 0.5)
    assert list(await on.driver.observe()) == [neighbour.replica]


async def test_a_limit_that_the_storage_can_not_keep_is_said_and_left_out(
    on: Target, caplog: pytest.LogCaptureFixture
) -> None:
    resources = Resources(disk=Range(max=100))
    for job in ("j1", "j2"):
        work = await on.shell("sleep 600", job=job, resources=resources)
        await on.started(work)
    assert caplog.text.count("disk limits are not kept") == 1


async def test_an_image_without_a_registry_is_refused(on: Target) -> None:
    work = msgspec.structs.replace(await on.serving(), repository="")
    refused = await on.driver.start(work)
    assert isinstance(refused, Refused)
    assert "REGISTRY" in refused.reason


async def test_gpus_that_an_engine_would_not_give_are_refused(on: Target) -> None:
    refused = await on.driver.start(await on.serving(devices=("GPU-7",)))
    assert isinstance(refused, Refused)
    assert "GPUs" in refused.reason
    assert await on.driver.observe() == {}
