"""A project with a private index: its password is used, and is in nothing that is kept."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.builder.build import Build, Workshop
from services.builder.claims import Built
from services.builder.logbook import Stream
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.endpoint import Definition, Wsgi
from tests.builder import made
from tests.builder.python.shelf import Shelf, shelf
from tests.builder.test_build import members

SECRET = "s3cr3t-of-acme"
WAYS = (SECRET, base64.b64encode(f"ann:{SECRET}".encode()).decode())


class Bench:
    def __init__(self, shop: Workshop, index: Shelf, folder: Path) -> None:
        self.shop, self.index, self.folder = shop, index, folder
        self.said: list[str] = []
        self.count = 0

    def write(self, text: str, stream: Stream = "platform") -> None:
        self.said.append(text)

    async def source(self, **more: str) -> str:
        files = {"app.py": "def app(): ...\n", "requirements.txt": "thing\n"}
        files |= {"pip.conf": self.index.conf("index-url")} | more
        return await made.put(self.shop.tools.blobs, made.tar(files))

    async def build(self, source: str) -> Built:
        self.count += 1
        folder = self.folder / f"build{self.count}"
        folder.mkdir()
        endpoint = made.endpoint(entry=Wsgi(app="app:app"))
        definition = Definition(source=source, endpoints=(endpoint,))
        return await Build(self.shop, made.claim(definition), folder, self.write).run()


@pytest.fixture
async def bench(workshop: Workshop, tmp_path: Path) -> AsyncIterator[Bench]:
    async with shelf(tmp_path / "shelf", f"ann:{SECRET}") as index:
        made.wheel(index.folder, "thing", "1.0", {"thing.py": "def main() -> None: ...\n"})
        environment = {**workshop.tools.installer.environment}
        for name in ("UV_NO_INDEX", "UV_OFFLINE"):
            del environment[name]
        installer = msgspec.structs.replace(
            workshop.tools.installer,
            environment=environment,
            private=(f"http://{index.address}",),
        )
        tools = msgspec.structs.replace(workshop.tools, installer=installer)
        yield Bench(msgspec.structs.replace(workshop, tools=tools), index, tmp_path)


async def rows(database: Database) -> str:
    """All that is in the database."""
    tables = await database.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    found = [await database.fetch(f'SELECT t::text FROM "{row[0]}" t') for row in tables]
    return "\n".join(str(row[0]) for table in found for row in table)


async def test_a_password_is_in_no_layer_log_row_or_cache(
    bench: Bench, database: Database, tmp_path: Path
) -> None:
    source = await bench.source()
    await bench.build(source)
    assert "thing" in bench.index.asked
    told = "\n".join([*bench.said, await rows(database)])
    upload = tmp_path / "blobs" / "sha256" / source[7:9] / source[7:]
    work = tmp_path / "build1"  # gone after a build, in a builder
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and work not in path.parents]
    assert upload in kept
    for way in WAYS:
        assert way not in told
        assert not [path for path in kept if path != upload and way.encode() in path.read_bytes()]


async def test_an_image_lacks_the_file_that_holds_the_password_and_nothing_else(
    bench: Bench, blobs: Blobs
) -> None:
    built = await bench.build(await bench.source())
    found = await members(blobs, built.images["greet"])
    assert "valohai/code/app.py" in found
    assert "valohai/code/requirements.txt" in found
    assert "valohai/code/pip.conf" not in found
    plain = await bench.source(**{"pip.conf": "[global]\ntimeout = 60\n", "requirements.txt": ""})
    found = await members(blobs, (await bench.build(plain)).images["greet"])
    assert "valohai/code/pip.conf" in found


async def test_an_unchanged_project_asks_no_index_again(bench: Bench) -> None:
    await bench.build(await bench.source())
    bench.index.asked.clear()
    installer = msgspec.structs.replace(bench.shop.tools.installer, uv="/nonexistent")
    tools = msgspec.structs.replace(bench.shop.tools, installer=installer)
    bench.shop = msgspec.structs.replace(bench.shop, tools=tools)
    await bench.build(await bench.source(**{"app.py": "def app(): return 1\n"}))
    assert bench.index.asked == []


async def test_a_lock_outlives_its_layer(bench: Bench, tmp_path: Path, blobs: Blobs) -> None:
    """The layer is lost, and the index has a newer release by then: the same is installed."""
    first = await bench.build(await bench.source())
    held = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    lost = [path for path in held if b"thing-1.0.dist-info/" in path.read_bytes()]
    assert len(lost) == 1
    lost[0].unlink()
    made.wheel(bench.index.folder, "thing", "2.0", {"thing.py": "new = True\n"})
    assert await bench.build(await bench.source()) == first


async def test_a_new_password_changes_nothing_that_was_built(bench: Bench) -> None:
    first = await bench.build(await bench.source())
    bench.index.user = "ann:another-one"
    again = await bench.build(await bench.source())
    assert again.images == first.images
