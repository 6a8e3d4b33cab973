"""Replicas outlive the process that started them, however it ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.scheduler.driver import Phase
from services.scheduler.drivers.process.stage import Stage
from shared.blobs import Blobs
from tests.scheduler.targets import Kind, Target, get, leftovers, opened, target

STARTER = """
import asyncio, sys
from pathlib import Path
import msgspec
from services.scheduler.driver import Workload
from services.scheduler.drivers.process import open_process
from shared.blobs import Blobs

async def main(home, kind, work):
    async with open_process(Path(home), Blobs.open(f"file:{home}/blobs"), isolation=kind) as driver:
        outcome = await driver.start(msgspec.json.decode(work, type=Workload))
        print(outcome.addresses[0], flush=True)
        await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(params=["namespaces", "plain"])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


async def test_a_killed_scheduler_leaves_its_replicas_to_the_next(
    kind: Kind, tmp_path: Path
) -> None:
    async with target("fake", tmp_path) as maker:
        work = await maker.serving()
    starter = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        STARTER,
        str(tmp_path),
        kind,
        msgspec.json.encode(work),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert starter.stdout is not None
    address = (await starter.stdout.readline()).decode().strip()
    starter.send_signal(signal.SIGKILL)
    await starter.wait()
    assert json.loads(await get(address, "/still-here")) == "still-here"

    async with target(kind, tmp_path) as on:
        seen = await on.until(work.replica, Phase.READY)
        assert (seen.addresses, seen.restarts) == ((address,), 0)
        assert await on.started(work) == address
        assert await on.texts(work.replica, 1) == ["serving"]
        await on.driver.stop(work.replica, 5)
        assert await on.driver.observe() == {}


async def test_closing_a_driver_leaves_its_replicas_running(kind: Kind, tmp_path: Path) -> None:
    blobs = Blobs.open(f"file:{tmp_path / 'blobs'}")
    async with opened(kind, tmp_path, blobs) as first:
        one = Target(kind, first, blobs, tmp_path)
        work = await one.serving(devices=("3", "5"))
        address = await one.started(work)
        before = await one.until(work.replica, Phase.READY)
    assert leftovers(tmp_path) != []
    async with target(kind, tmp_path) as on:
        assert (await on.driver.observe())[work.replica] == before
        assert json.loads(await get(address, "/hello")) == "hello"
        assert await on.driver.given([work.replica]) == {"3", "5"}
        await on.driver.stop(work.replica, 5)
        assert await on.driver.given([work.replica]) == set()


async def test_two_drivers_on_one_home_start_a_replica_once(kind: Kind, tmp_path: Path) -> None:
    async with target(kind, tmp_path) as one, opened(kind, tmp_path, one.blobs) as other:
        work = await one.serving()
        first = await one.driver.start(work)
        assert await other.start(work) == first
        assert list(await other.observe()) == [work.replica]


async def test_a_start_that_is_slow_to_unpack_spares_what_another_has_started(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with target(kind, tmp_path) as on:
        work = await on.serving()
        async with opened(kind, tmp_path, Blobs.open(f"file:{tmp_path / 'blobs'}")) as other:
            fill = Stage.fill

            async def slow(*arguments: Any) -> None:
                await fill(*arguments)
                monkeypatch.undo()
                await other.start(work)
                await on.until(work.replica, Phase.READY)

            monkeypatch.setattr(Stage, "fill", slow)
            address = await on.started(work)
            await get(address, "/")
        assert (await on.driver.observe())[work.replica].phase is Phase.READY
        assert len(servers(tmp_path)) == 1


async def test_a_start_that_was_cut_short_can_be_made_again(kind: Kind, tmp_path: Path) -> None:
    async with target(kind, tmp_path) as on:
        work = await on.serving()
        folder = tmp_path / "replicas" / str(work.replica)
        folder.mkdir()
        (folder / "lock").touch()  # its log had been moved to where the next life was being made
        await on.started(work)
        await on.until(work.replica, Phase.READY)


async def test_another_that_closes_takes_nothing_along(kind: Kind, tmp_path: Path) -> None:
    async with target(kind, tmp_path) as on:
        work = await on.serving()
        async with opened(kind, tmp_path, Blobs.open(f"file:{tmp_path / 'blobs'}")):
            pass
        await on.started(work)
        await on.until(work.replica, Phase.READY)


def servers(home: Path) -> list[int]:
    """The replicas' servers, wherever their folders are."""
    return [
        process
        for process in leftovers(home)
        if b"server.py" in Path(f"/proc/{process}/cmdline").read_bytes()
    ]
