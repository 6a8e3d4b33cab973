"""What a replica's code can reach of the platform and of its neighbours, and who may have one."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from services.scheduler.driver import Phase, Refused, Started, Workload
from services.scheduler.drivers import open_driver
from shared.blobs import Blobs
from tests.scheduler.targets import Target, get, opened, target

SECRET = "hunter2-of-the-platform"
LOOK = """
import glob, json, os, socket, sys, time

def read(path):
    try:
        return open(path, "rb").read().decode("utf-8", "replace")
    except OSError as error:
        return type(error).__name__

def reached(path):
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(path)
        except OSError as error:
            return type(error).__name__
    return "reached"

environs = glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/task/*/environ")
print(json.dumps({
    "processes": len(environs),
    "secrets": sum("hunter2" "-of" in read(path) for path in environs),
    "platform": os.path.exists(f"/proc/{os.environ['PLATFORM']}/status")
        and "pytest" in read(f"/proc/{os.environ['PLATFORM']}/cmdline"),
    "files": [read(path) for path in os.environ["FILES"].split(":")],
    "sockets": [reached(path) for path in os.environ["SOCKETS"].split(":")],
    "loopback": reached(chr(0) + os.environ["ABSTRACT"]),
}), flush=True)
time.sleep(600)
"""


@pytest.fixture
def secretive() -> Iterator[int]:
    """A process of the platform's, with something to hide in its environment."""
    environment = {**os.environ, "DATABASE_URL": f"postgresql://slipway:{SECRET}@127.0.0.1/slipway"}
    with subprocess.Popen(["sleep", "600"], env=environment) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that replicas would see: not below `/tmp`, of which each has one of its own."""
    with tempfile.TemporaryDirectory(prefix=".slipway-test-", dir=Path.home()) as name:
        yield Path(name)


@pytest.fixture
async def apart(outside: Path) -> AsyncIterator[Target]:
    async with target("namespaces", outside) as opened:
        yield opened


@pytest.fixture
def engine(outside: Path) -> Iterator[list[str]]:
    """Sockets as a container engine has them: where they usually are, and in the platform's folder.

    The last one has no path.
    """
    usual = "/run" if os.access("/run", os.W_OK) else f"/run/user/{os.getuid()}"
    paths = [f"{usual}/slipway-{os.getpid()}.sock", f"{outside}/engine.sock"]
    paths = [path for path in paths if os.access(os.path.dirname(path), os.W_OK)]
    doors = []
    for address in (*paths, f"\0slipway-{os.getpid()}"):
        door = socket.socket(socket.AF_UNIX)
        door.bind(address)
        door.listen()
        doors.append(door)
    yield [*paths, f"slipway-{os.getpid()}"]
    for door in doors:
        door.close()
    for path in paths:
        os.unlink(path)


@pytest.fixture
async def elsewhere(outside: Path) -> AsyncIterator[Target]:
    """As a scheduler opens it, with its blobs outside of its home."""
    blobs = Blobs.open(f"file:{outside}/blobs")
    async with open_driver("process", outside / "home", blobs) as driver:
        yield Target("namespaces", driver, blobs, outside / "home")
        for replica in await driver.observe():
            await driver.stop(replica, 0)


async def test_L08_the_platform_and_its_neighbours_are_out_of_reach(
    apart: Target, secretive: int, engine: list[str]
) -> None:
    other = await apart.serving(job="other")
    address = await apart.started(other)
    await apart.until(other.replica, Phase.READY)
    folder = apart.home / "replicas" / str(other.replica)
    (apart.home / "client.toml").write_text("token")
    files = (apart.home / "client.toml", folder / "spec.json", folder / "status.json")
    assert all(file.exists() for file in files)
    *sockets, abstract = engine
    work = await apart.made(
        *("python", "look.py"),
        code={"look.py": LOOK},
        environment={
            "PLATFORM": str(os.getpid()),
            "FILES": ":".join(map(str, files)),
            "SOCKETS": ":".join([*sockets, address.removeprefix("unix:")]),
            "ABSTRACT": abstract,
        },
        readiness="none",
    )
    await apart.started(work)
    found = json.loads((await apart.texts(work.replica, 1))[0])
    assert found.pop("processes") >= 2  # it looked
    assert (found.pop("secrets"), found.pop("platform")) == (0, False)
    assert set(found.pop("files")) == {"FileNotFoundError"}
    assert set(found.pop("sockets")) == {"FileNotFoundError"}
    assert found == {"loopback": "ConnectionRefusedError"}
    assert SECRET.encode() in Path(f"/proc/{secretive}/environ").read_bytes()


async def test_L08_the_code_of_others_is_out_of_sight_wherever_it_is_kept(
    elsewhere: Target,
) -> None:
    kept = elsewhere.home.parent / "blobs"
    work = await elsewhere.serving()
    address = await elsewhere.started(work)
    assert os.listdir(kept)
    assert json.loads(await get(address, f"/list?{kept.parent}")) == ["blobs", "home"]
    for folder in (kept, elsewhere.home):
        assert json.loads(await get(address, f"/list?{folder}")) == []


async def test_L08_where_nothing_is_hidden_a_second_owner_is_refused(tmp_path: Path) -> None:
    async with target("plain", tmp_path) as on:
        anns, bobs = await work_of(on, "ann"), await work_of(on, "bob")
        assert isinstance(await on.driver.start(anns), Started)
        await refused(on, bobs)
        await on.driver.stop(anns.replica, 0)
        await refused(on, bobs)  # what was hers lies there still
        async with opened("plain", tmp_path, on.blobs) as later:
            await refused(Target("plain", later, on.blobs, tmp_path), bobs)
        assert isinstance(await on.driver.start(await work_of(on, "ann", "j3")), Started)


async def test_L08_of_two_owners_who_ask_at_once_one_is_let_in(tmp_path: Path) -> None:
    async with target("plain", tmp_path) as on, opened("plain", tmp_path, on.blobs) as other:
        works = [await work_of(on, "ann"), await work_of(on, "bob")]
        drivers = (on.driver, other)
        outcomes = await asyncio.gather(
            *(driver.start(work) for driver, work in zip(drivers, works, strict=True))
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Refused", "Started"]


async def test_owners_share_what_hides_nothing_when_the_operator_says_so(tmp_path: Path) -> None:
    async with target("plain", tmp_path, plain_for_all=True) as on:
        for owner in ("ann", "bob"):
            assert isinstance(await on.driver.start(await work_of(on, owner)), Started)


async def test_where_replicas_are_apart_everybody_may_have_one(apart: Target) -> None:
    for owner in ("ann", "bob"):
        assert isinstance(await apart.driver.start(await work_of(apart, owner)), Started)


async def work_of(on: Target, owner: str, job: str = "") -> Workload:
    work = await on.shell("sleep 600", job=job or f"of{owner}")
    return msgspec.structs.replace(work, project=f"{owner}/house")


async def refused(on: Target, work: Workload) -> None:
    outcome = await on.driver.start(work)
    assert isinstance(outcome, Refused)
    assert "runs jobs of ann alone" in outcome.reason
    assert "PLAIN_FOR_ALL" in outcome.reason
    assert work.replica not in await on.driver.observe()
