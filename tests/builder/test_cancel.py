"""What a build runs ends with it, whoever ends the build and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from services.builder.build import Build, Workshop
from services.builder.builder import Builder
from services.builder.claims import Built, Claim
from services.builder.logbook import Write
from services.builder.stages import Limits
from shared.database import versions
from shared.database.pool import Database
from shared.endpoint import Definition
from shared.events import Event
from shared.ids import VersionId
from tests.builder import made
from tests.builder.python.test_install import alive
from tests.builder.test_builder import ended, running, until

ENDLESS = """\
import subprocess

def build_wheel(*args, **kwargs):
    subprocess.run(["sleep", "{seconds}"])
"""
SECONDS = "86399.25"  # which nobody else sleeps
PROJECT = (
    '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    '[project]\nname = "endless"\nversion = "1"\n'
)
FAILED = Event(
    id="1",
    source="/",
    type="slipway.version.failed.v1",
    subject="v1",
    time=datetime.now(UTC),
    data=b"{}",  # type: ignore[arg-type]
)

BuilderOf = Callable[[Limits], Builder]


@pytest.fixture
async def builder_of(database: Database, workshop: Workshop, tmp_path: Path) -> BuilderOf:
    """A version is waiting whose installation never ends."""
    files = {
        "requirements.txt": "./endless\n",
        "endless/pyproject.toml": PROJECT,
        "endless/backend.py": ENDLESS.format(seconds=SECONDS),
    }
    source = await made.put(workshop.tools.blobs, made.tar(files))
    await made.submitted(database, Definition(source=source, endpoints=(made.endpoint(),)))

    def build(limits: Limits) -> Builder:
        shop = msgspec.structs.replace(workshop, limits=limits)

        async def make(held: Claim, folder: Path, write: Write) -> Built:
            return await Build(shop, held, folder, write).run()

        return Builder(database, make, tmp_path / "builds", look_every=0.05, lease=60.0, drain=0.0)

    return build


async def sleeps() -> bool:
    return bool(alive(SECONDS))


async def nothing_is_left(folder: Path) -> None:
    async def nothing() -> bool:
        return not alive(SECONDS) and not list((folder / "builds").iterdir())

    await until(nothing)


async def test_what_a_cancelled_build_runs_ends_at_once(
    builder_of: BuilderOf, database: Database, tmp_path: Path
) -> None:
    builder = builder_of(Limits())
    async with running(builder):
        await until(sleeps)
        async with database.transaction() as connection:
            assert await versions.fail(connection, VersionId("v1"), "cancelled")
        await builder.on_version_failed(FAILED)
        await nothing_is_left(tmp_path)


async def test_what_a_step_runs_that_takes_too_long_ends_with_it(
    builder_of: BuilderOf, database: Database, tmp_path: Path
) -> None:
    async with running(builder_of(Limits(packages=2.0))):
        await ended(database)
        await nothing_is_left(tmp_path)
    version = await made.version(database)
    assert version["reason"] == "packages: took longer than 2 s"


async def test_what_is_built_ends_with_the_builder_and_is_taken_up_again(
    builder_of: BuilderOf, database: Database, tmp_path: Path
) -> None:
    async with running(builder_of(Limits())):
        await until(sleeps)
    await nothing_is_left(tmp_path)
    assert (await made.version(database))["state"] == "building"


async def test_what_is_no_longer_wanted_is_never_begun(
    builder_of: BuilderOf, database: Database
) -> None:
    async with database.transaction() as connection:
        assert await versions.fail(connection, VersionId("v1"), "cancelled")
    builder = builder_of(Limits())
    async with running(builder):
        await builder.on_version_submitted(FAILED)
        await asyncio.sleep(0.2)
    assert await made.log_text(database) == []
