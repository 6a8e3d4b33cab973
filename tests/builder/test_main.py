"""The builder as it is wired: a submitted version becomes an image, also over a killed builder."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.builder import image as images
from services.builder.main import Config, compose
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.config import Misconfigured
from shared.database import versions
from shared.database.pool import Database
from shared.endpoint import Definition
from shared.ids import VersionId
from shared.outbox import relay
from shared.service import Floor
from tests.builder import made

SOURCE = {"serve.py": "print('hello')\n"}

PROCESS = """
import asyncio, sys
from services.builder.main import Config, compose
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.database.pool import Database
from shared.service import Floor

async def main(database_url, work, blobs):
    config = Config(database_url=database_url, work_dir=work, builder_port=0)
    async with Database.open(database_url) as database:
        floor = Floor(database, LocalBus(), Blobs.open(blobs))
        async with compose(config, floor) as loops:
            await asyncio.gather(*(loop(asyncio.Event()) for loop in loops))

asyncio.run(main(*sys.argv[1:]))
"""

SLOW = """
import pathlib, time
pathlib.Path("flag").touch()
time.sleep(600)
"""


@asynccontextmanager
async def at_work(
    database: Database, database_url: str, blobs: Blobs, work: Path
) -> AsyncIterator[None]:
    """A builder in this process, told to stop at the end."""
    config = Config(database_url=database_url, work_dir=str(work), builder_port=0)
    stopping = asyncio.Event()
    async with compose(config, Floor(database, LocalBus(), blobs)) as loops:
        running = asyncio.gather(*(loop(stopping) for loop in loops))
        try:
            yield
        finally:
            stopping.set()
            await running


async def ended(database: Database) -> str:
    async with asyncio.timeout(60):
        while (state := str((await made.version(database))["state"])) == "building":
            await asyncio.sleep(0.02)
    return state


async def test_a_submitted_version_becomes_an_image(
    database: Database, database_url: str, blobs: Blobs, tmp_path: Path
) -> None:
    source = await made.put(blobs, made.tar(SOURCE, gz=True))
    await made.submitted(database, Definition(source=source, endpoints=(made.endpoint(),)))
    async with at_work(database, database_url, blobs, tmp_path / "work"):
        assert await ended(database) == "ready", await made.log_text(database)
    digest = (await made.version(database))["images"]["greet"]
    assert await images.is_whole(blobs, digest)
    assert [path.name for path in (tmp_path / "work").iterdir() if path.name != "cache"] == []


async def test_a_source_that_is_no_archive_fails_its_version(
    database: Database, database_url: str, blobs: Blobs, tmp_path: Path
) -> None:
    source = await made.put(blobs, b"this is not a tar" * 100)
    await made.submitted(database, Definition(source=source, endpoints=(made.endpoint(),)))
    async with at_work(database, database_url, blobs, tmp_path / "work"):
        assert await ended(database) == "failed"
    assert (await made.version(database))["reason"].startswith("source")


async def test_a_builder_killed_in_the_middle_is_followed_and_leaves_nothing(
    database: Database, database_url: str, blobs: Blobs, tmp_path: Path
) -> None:
    source = SOURCE | {
        "requirements.txt": "./odd\n",
        "odd/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "b"\n'
        'backend-path = ["."]\n[project]\nname = "odd"\nversion = "1"\n',
        "odd/b.py": SLOW,
    }
    uploaded = await made.put(blobs, made.tar(source))
    await made.submitted(database, Definition(source=uploaded, endpoints=(made.endpoint(),)))
    work = tmp_path / "work"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROCESS, database_url, str(work), f"file:{tmp_path / 'blobs'}"),
        env=os.environ | {"UV_OFFLINE": "1"},
    )
    async with asyncio.timeout(60):
        while not any(work.rglob("flag")):
            await asyncio.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    version = await made.version(database)
    assert (str(version["state"]), version["images"]) == ("building", {})
    assert version["lease"] is not None
    # the lease runs out, and whoever comes next finds a source that can be built
    await database.execute("UPDATE versions SET lease_until = now()")
    good = await made.put(blobs, made.tar(SOURCE))
    await database.execute(
        "UPDATE versions SET definition = $1",
        Definition(source=good, endpoints=(made.endpoint(),)),
    )
    async with at_work(database, database_url, blobs, work):
        assert await ended(database) == "ready"
    assert [path.name for path in work.iterdir() if path.name != "cache"] == []
    assert "the last try was cut short; building again" in await made.log_text(database)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stage_timeouts": "bake=3"}, "STAGE_TIMEOUTS: must be `stage=seconds,…`"),
        ({"stage_timeouts": "push=0"}, "STAGE_TIMEOUTS: push must be a number of seconds above 0"),
        ({"keep_blobs": 0.1}, "KEEP_…: must be at least 1 day"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_named(
    database: Database, blobs: Blobs, tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    config = Config(database_url="", work_dir=str(tmp_path / "work"), **settings)
    with pytest.raises(Misconfigured) as raised:
        async with compose(config, Floor(database, LocalBus(), blobs)):
            pass
    assert said in str(raised.value)


async def test_a_cancelled_version_is_heard_of_on_the_bus(
    database: Database, database_url: str, blobs: Blobs, tmp_path: Path
) -> None:
    """A renewal of the lease would tell five seconds later."""
    files = SOURCE | {
        "requirements.txt": "./slow\n",
        "slow/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
        'backend-path = ["."]\n[project]\nname = "slow"\nversion = "1"\n',
        "slow/backend.py": SLOW,
    }
    source = await made.put(blobs, made.tar(files))
    await made.submitted(database, Definition(source=source, endpoints=(made.endpoint(),)))
    work, bus = tmp_path / "work", LocalBus()
    config = Config(database_url=database_url, work_dir=str(work), builder_port=0)
    stopping = asyncio.Event()
    async with compose(config, Floor(database, bus, blobs)) as loops:
        running = asyncio.gather(
            *(loop(stopping) for loop in (*loops, relay(database_url, database, bus)))
        )
        async with asyncio.timeout(60):
            while not await made.log_text(database):
                await asyncio.sleep(0.02)
            async with database.transaction() as connection:
                assert await versions.fail(connection, VersionId("v1"), "cancelled")
            while "cancelled" not in await made.log_text(database):
                await asyncio.sleep(0.02)
        stopping.set()
        await running
    assert not list(work.glob("run-*"))
