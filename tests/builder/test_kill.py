"""A builder dies at every point of a build, one after another, and the next one goes on.

Whatever the point, the version ends once, nothing is half there under a name, and nothing of the
dead is left on the machine.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.builder import image as images
from services.builder.build import tag_of
from services.builder.collect.shelves import Shelves
from services.builder.depot import Depot
from shared.blobs import Blobs
from shared.database import versions
from shared.database.pool import Database
from shared.endpoint import Definition
from shared.ids import VersionId
from shared.registry import Reference, Registries
from tests.beds.bases import bases
from tests.beds.debian import program
from tests.beds.registry import registry
from tests.builder import made

ROOT = Path(__file__).parents[2]
WITHIN = 120.0  # seconds that one life may take on a busy machine

ON_THIS_MACHINE = (
    *("source:begin", "source:end", "lock:begin", "lock:amid", "lock:end"),
    *("packages:begin", "packages:amid", "packages:end"),
    *("pack:begin", "pack:end", "record:begin", "record:end"),
)
ON_A_BASE = (
    *("base:begin", "base:end", "source:end", "packages:amid", "packages:end"),
    *("install:begin", "install:amid", "install:end", "pack:end"),
    *("push:begin", "push:end", "announce:begin", "announce:end", "record:begin", "record:end"),
)


class Drill:
    def __init__(self, database: Database, environ: dict[str, str], folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.work = folder / "build"
        self.environ = environ

    @asynccontextmanager
    async def life(self, point: str) -> AsyncIterator[Process]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.builder.mortal", point),
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.environ},
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(WITHIN):
                await process.wait()

    async def die(self, point: str) -> None:
        """Have a builder live until that point, and its lease be over."""
        async with self.life(point) as process, asyncio.timeout(WITHIN):
            assert await process.wait() == -signal.SIGKILL, f"{point} was not reached"
        await self.nothing_runs()
        await self.database.execute(
            "UPDATE versions SET lease_until = now() WHERE lease IS NOT NULL"
        )

    async def live(self) -> None:
        """Have a builder live until every version has ended."""
        async with self.life("never"), asyncio.timeout(WITHIN):
            while await self.database.value(
                "SELECT count(*) FROM versions WHERE state = 'building'"
            ):
                await asyncio.sleep(0.05)
        await self.nothing_runs()

    async def nothing_runs(self) -> None:
        """The wardens notice within a moment that their builder is dead."""
        async with asyncio.timeout(20):
            while self.processes():
                await asyncio.sleep(0.05)

    def processes(self) -> list[str]:
        """Builders, and whatever they started: it has their folder for a home or an argument."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                command = (place / "cmdline").read_bytes()
                told = command + (place / "environ").read_bytes()
            except OSError:  # it has just ended, or is not ours to look at
                continue
            if str(self.work).encode() in told:
                found.append(command.replace(b"\0", b" ").decode())
        return found

    def left(self) -> list[str]:
        """What the dead have left on this machine."""
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        mounted = [line for line in mounts if str(self.folder) in line]
        return [*mounted, *(path.name for path in self.work.glob("run-*"))]


@pytest.fixture
async def drill(database: Database, database_url: str, wheels: Path, tmp_path: Path) -> Drill:
    environ = {
        "DATABASE_URL": database_url,
        "BLOBS_URL": f"file:{tmp_path / 'blobs'}",
        "WORK_DIR": str(tmp_path / "build"),
        "BUILDER_PORT": "0",
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(wheels),
    }
    return Drill(database, environ, tmp_path)


async def submitted(
    database: Database, blobs: Blobs, target: str, image: str = "", *, version: str = "v1"
) -> None:
    """A version with packages, and a job for it."""
    source = await made.put(blobs, made.tar({"app.py": "1", "requirements.txt": "tiny\n"}))
    lines = ("sleep 0.2; echo hello > /opt/hello",) if image else ()
    endpoint = made.endpoint(image=image, install=lines)
    definition = Definition(source=source, endpoints=(endpoint,))
    await made.submitted(database, definition, version=version)
    await database.execute("UPDATE jobs SET target = $1", target)


ENDED_ONCE = [
    *("job building v1-job0", "version ready v1", "job queued v1-job0"),
    *("job building v2-job0", "version ready v2", "job queued v2-job0"),
]


async def test_a_version_ends_once_whenever_its_builders_die(
    drill: Drill, database: Database, blobs: Blobs
) -> None:
    await submitted(database, blobs, "process")
    for point in ON_THIS_MACHINE:
        await drill.die(point)
    await submitted(database, blobs, "process", version="v2")
    await drill.live()
    version = await made.version(database)
    assert version["state"] == "ready", version["reason"]
    assert await images.is_whole(blobs, version["images"]["greet"])
    assert await made.facts(database) == ENDED_ONCE
    assert drill.left() == []


class Shop:
    """A registry with a base, and what is looked for in it."""

    def __init__(self, registries: Registries, blobs: Blobs, address: str) -> None:
        self.registries = registries
        self.depot = Depot(registries, blobs, f"{address}/slipway")
        self.into = self.depot.repository("acme/web")

    async def names(self) -> set[str]:
        """Tags of versions; all that each of them names is there, and so is what is said of it."""
        tags = {tag for tag in await self.registries.tags(self.into) if tag.startswith("v")}
        for tag in tags:
            digest = await self.check(self.into.tagged(tag))
            assert await self.registries.referrers(self.into, digest), tag
        return tags

    async def check(self, named: Reference) -> str:
        """The digest of an image that is whole."""
        found = await self.registries.resolve(named)
        for part in (found.manifest.config, *found.manifest.layers):
            assert await self.registries.has(self.into, part.digest, "blob"), named
        return found.reference.digest


@pytest.fixture
async def shop(drill: Drill, blobs: Blobs, tmp_path: Path) -> AsyncIterator[Shop]:
    async with registry(tmp_path / "registry") as address, Registries.open() as registries:
        program("buildah", "buildah")
        await bases(address, "python:3.11")
        drill.environ |= {"REGISTRY": f"{address}/slipway", "BASE_REGISTRY": address}
        yield Shop(registries, blobs, address)


async def test_a_name_in_the_registry_is_of_a_whole_image_whenever_builders_die(
    drill: Drill, shop: Shop, database: Database, blobs: Blobs
) -> None:
    await submitted(database, blobs, "container", "python:3.11")
    tag, named = tag_of("v1", "greet"), False
    for point in ON_A_BASE:
        await drill.die(point)
        names = await shop.names()
        assert names <= {tag}
        assert names or not named  # what is named stays so
        named = bool(names)
    await submitted(database, blobs, "container", "python:3.11", version="v2")
    await drill.live()
    version = await made.version(database)
    assert version["state"] == "ready", version["reason"]
    assert await shop.names() == {tag, tag_of("v2", "greet")}
    assert await shop.check(shop.into.tagged(tag)) == version["images"]["greet"]
    assert await shop.registries.referrers(shop.into, version["images"]["greet"])
    assert await made.facts(database) == ENDED_ONCE
    assert drill.left() == []


async def test_a_version_that_is_cancelled_after_its_builder_died_leaves_no_name_behind(
    drill: Drill, shop: Shop, database: Database, blobs: Blobs
) -> None:
    await submitted(database, blobs, "container", "python:3.11")
    await drill.die("record:begin")
    [tag] = await shop.names()
    digest = await shop.check(shop.into.tagged(tag))
    async with database.transaction() as connection:
        assert await versions.fail(connection, VersionId("v1"), "cancelled")
    await drill.live()
    await database.execute("UPDATE versions SET changed_at = now() - '2 days'::interval")
    await Shelves(database, shop.registries, shop.depot, days=1.0).clear()
    assert await shop.names() == set()
    assert not await shop.registries.has(shop.into, digest, "manifest")
    assert (await made.facts(database)).count("version failed v1") == 1
