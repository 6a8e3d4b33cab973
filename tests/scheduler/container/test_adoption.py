"""Containers outlive whoever started them, belong to one platform, and wait for no scheduler."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from services.scheduler.driver import Phase
from services.scheduler.drivers.container.open import ID
from services.scheduler.drivers.fake import FakeDriver
from shared.blobs import Blobs
from shared.errors import Transient
from tests.beds.podman import podman
from tests.scheduler.container.bed import Bed
from tests.scheduler.targets import Target, get, opened, target

STARTER = """
import asyncio, sys
from pathlib import Path
import msgspec
from services.scheduler.driver import Workload
from services.scheduler.drivers.container import open_container

async def main(home, url, work):
    async with open_container(Path(home), url, gives_gpus=False) as driver:
        outcome = await driver.start(msgspec.json.decode(work, type=Workload))
        print(outcome.addresses[0], flush=True)
        await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


def blobs(home: Path) -> Blobs:
    return Blobs.open(f"file:{home / 'blobs'}")


async def test_a_killed_scheduler_leaves_its_replicas_to_the_next(bed: Bed, tmp_path: Path) -> None:
    maker = Target("container", FakeDriver(), blobs(tmp_path), tmp_path, bed)
    work = await maker.serving(devices=("3", "5"))
    starter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTER, str(tmp_path), bed.url, msgspec.json.encode(work)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert starter.stdout is not None
    address = (await starter.stdout.readline()).decode().strip()
    starter.send_signal(signal.SIGKILL)
    await starter.wait()

    async with target("container", tmp_path, bed) as on:
        seen = await on.until(work.replica, Phase.READY)
        assert json.loads(await get(address, "/still-here")) == "still-here"
        assert (seen.addresses, seen.restarts) == ((address,), 0)
        assert await on.started(work) == address
        assert await on.texts(work.replica, 1) == ["serving"]
        assert await on.driver.given([work.replica]) == {"3", "5"}
        await on.driver.stop(work.replica, 5)
        assert await on.driver.observe() == {}
        assert await on.driver.given([work.replica]) == set()


async def test_S04_a_start_that_is_killed_at_any_moment_leaves_nothing_that_is_not_found_again(
    bed: Bed, tmp_path: Path
) -> None:
    one = Target("container", FakeDriver(), blobs(tmp_path), tmp_path, bed)
    for tenths in range(2, 10):
        work = await one.serving(attempt=tenths)
        starter = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", STARTER, str(tmp_path), bed.url, msgspec.json.encode(work)),
            stdout=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        while not (tmp_path / ID).exists():
            await asyncio.sleep(0.01)
        await asyncio.sleep(tenths / 10)
        starter.send_signal(signal.SIGKILL)
        await starter.wait()
        async with target("container", tmp_path, bed) as on:
            if tenths % 2:
                await on.started(work)
                await on.until(work.replica, Phase.READY)
            await on.driver.stop(work.replica, 0)
            assert await on.driver.observe() == {}
        platform = (tmp_path / ID).read_text()
        assert await bed.run("ps", "--all", "--quiet", "--filter", f"name={platform}") == ""
        assert platform not in await bed.run("network", "ls")


async def test_closing_a_driver_leaves_its_replicas_running(bed: Bed, tmp_path: Path) -> None:
    async with opened("container", tmp_path, blobs(tmp_path), bed) as first:
        one = Target("container", first, blobs(tmp_path), tmp_path, bed)
        work = await one.serving()
        address = await one.started(work)
        before = await one.until(work.replica, Phase.READY)
    async with target("container", tmp_path, bed) as on:
        assert (await on.driver.observe())[work.replica] == before
        assert json.loads(await get(address, "/hello")) == "hello"


async def test_servers_are_started_again_while_there_is_no_scheduler(
    bed: Bed, tmp_path: Path
) -> None:
    async with opened("container", tmp_path, blobs(tmp_path), bed) as first:
        one = Target("container", first, blobs(tmp_path), tmp_path, bed)
        work = await one.shell("echo try; exit 3")
        await one.started(work)
        before = await one.until(work.replica, Phase.CRASHING)
    name = bed.name(tmp_path, work.replica)
    while (await bed.run("logs", name)).count("try") < before.restarts + 4:
        await asyncio.sleep(0.1)
    async with target("container", tmp_path, bed) as on:
        after = await on.until(work.replica, lambda seen: seen.restarts >= before.restarts + 3)
        assert after.failures == after.restarts


async def test_two_drivers_on_one_home_start_a_replica_once(bed: Bed, tmp_path: Path) -> None:
    async with (
        target("container", tmp_path, bed) as one,
        opened("container", tmp_path, one.blobs, bed) as other,
    ):
        work = await one.serving()
        first, second = await asyncio.gather(one.driver.start(work), other.start(work))
        assert first == second
        assert list(await other.observe()) == [work.replica]
        await one.until(work.replica, Phase.READY)
        assert (await other.observe()) == (await one.driver.observe())
        await other.stop(work.replica, 1)
        assert await one.driver.observe() == {}


async def test_who_stands_by_goes_on_where_another_left_off(bed: Bed, tmp_path: Path) -> None:
    async with target("container", tmp_path, bed) as by:
        async with opened("container", tmp_path, by.blobs, bed) as first:
            one = Target("container", first, by.blobs, tmp_path, bed)
            work = await one.shell("while :; do echo tick; sleep 0.05; done")
            await one.started(work)
            await by.texts(work.replica, 5)
        await by.driver.observe()
        lines = len(await by.driver.logs(work.replica, 0))
        await by.texts(work.replica, lines + 10)
        numbers = [line.line for line in await by.driver.logs(work.replica, 0)]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_another_platforms_containers_are_left_alone(bed: Bed, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with (
        target("container", tmp_path / "one", bed) as one,
        target("container", tmp_path / "two", bed) as two,
    ):
        first, second = await one.serving(), await two.serving()
        assert first.replica == second.replica
        address = await one.started(first)
        assert await two.driver.observe() == {}
        await two.started(second)
        await two.driver.stop(second.replica, 1)
        await one.until(first.replica, Phase.READY)
        assert json.loads(await get(address, "/hello")) == "hello"


async def test_an_engine_that_is_away_is_trouble_that_passes(bed: Bed, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "engine"
    home.mkdir()
    work = await Target("container", FakeDriver(), blobs(home), home, bed).serving()
    async with podman(folder, registries=[bed.registry]) as engine:
        own = Bed(engine, bed.registry, bed.base)
        async with opened("container", home, blobs(home), own) as driver:
            assert await driver.observe() == {}
    async with opened("container", home, blobs(home), own) as driver:  # it may come later
        for ask in (driver.observe(), driver.start(work), driver.stop(work.replica, 1)):
            with pytest.raises(Transient):
                await ask
