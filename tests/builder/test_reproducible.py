"""The same inputs give the same image, wherever and whenever and by whomever it is built."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from services.builder.base.bases import Bases
from services.builder.build import Build, Workshop
from services.builder.cache import Cache
from services.builder.claims import Built
from services.builder.depot import Depot
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.endpoint import Definition, Endpoint, File, Wsgi
from shared.registry import Registries
from tests.beds.registry import registry
from tests.builder import made
from tests.builder.base.test_bases import Push
from tests.builder.base.test_look import OFFICIAL, layer

SOURCE = {
    "app.py": "def application(environ, start): ...\n",
    "requirements.txt": "tiny\n",
    "lib/__init__.py": "",
    "lib/größe.py": "x = 1\n",
    "data/B": "b",
    "data/a": "a",
}
ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "Europe/Helsinki")
DAYS = (0, 315_532_800, 951_782_400, 1_709_164_800, 4_102_444_799)  # leap days, and far ahead
UMASKS = (0o022, 0o077, 0o000, 0o027)
ENDPOINT: Endpoint = made.endpoint(
    entry=Wsgi(app="app"),
    image="python:3.11",
    files=(File(name="model", path="model.bin"),),
    environment={"B": "2", "A": "1"},
)


class Factory:
    """Builders that share nothing but the registry of their bases."""

    def __init__(self, shop: Workshop, database: Database, address: str, folder: Path) -> None:
        self.shop, self.database, self.address, self.folder = shop, database, address, folder
        self.count = 0

    async def build(
        self, registries: Registries, source: bytes, model: bytes = b"weights"
    ) -> Built:
        await self.database.execute("DELETE FROM layers")
        self.count += 1
        folder = self.folder / f"builder{self.count}"
        folder.mkdir(parents=True)
        blobs = Blobs.open(f"file:{folder / 'blobs'}")
        cache = Cache(self.database, blobs)
        old = self.shop.tools
        installer = msgspec.structs.replace(old.installer, cache=folder / "cache")
        tools = msgspec.structs.replace(old, blobs=blobs, cache=cache, installer=installer)
        shop = msgspec.structs.replace(
            self.shop,
            tools=tools,
            bases=Bases(registries, cache, blobs, named={}, registry=self.address),
            depot=Depot(registries, blobs, f"{self.address}/slipway{self.count}"),
        )
        definition = Definition(
            source=await made.put(blobs, source),
            endpoints=(ENDPOINT,),
            files={"greet": {"model": await made.put(blobs, model)}},
        )
        held = made.claim(definition, target="container")
        (folder / "work").mkdir()
        return await Build(shop, held, folder / "work", lambda *_: None).run()


@pytest.fixture
async def factory(
    workshop: Workshop, database: Database, registries: Registries, tmp_path: Path
) -> AsyncIterator[Factory]:
    async with registry(tmp_path / "registry") as address:
        await Push(registries, address).image("python", layer(OFFICIAL), tag="3.11")
        yield Factory(workshop, database, address, tmp_path / "builders")


@contextmanager
def elsewhere(zone: str, now: int, umask: int, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another machine, as far as a build can tell."""
    before = os.umask(umask)
    try:
        with patch.context() as there:
            there.setenv("TZ", zone)
            there.setattr(time, "time", lambda: float(now))
            time.tzset()
            yield
    finally:
        os.umask(before)
        time.tzset()


async def test_twenty_builders_that_share_nothing_make_one_image(
    factory: Factory, registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for number in range(20):
        chance = random.Random(number)
        names = chance.sample(sorted(SOURCE), len(SOURCE))
        sent = made.tar(
            {name: SOURCE[name] for name in names},
            mtime=chance.choice(DAYS),
            gz=bool(number % 2),
        )
        where = (ZONES[number % 5], chance.choice(DAYS), UMASKS[number % 4])
        with elsewhere(*where, monkeypatch):
            found.add((await factory.build(registries, sent)).images["greet"])
    assert len(found) == 1


def one_byte_changed(files: Mapping[str, str]) -> Iterator[dict[str, str]]:
    for name, text in files.items():
        if text and name != "requirements.txt":
            yield {**files, name: text[:-1] + ("y" if text[-1] != "y" else "z")}


async def test_one_changed_byte_anywhere_makes_another_image(
    factory: Factory, registries: Registries
) -> None:
    changed = [made.tar(files) for files in one_byte_changed(SOURCE)]
    found = [await factory.build(registries, source) for source in (made.tar(SOURCE), *changed)]
    found.append(await factory.build(registries, made.tar(SOURCE), model=b"weightz"))
    assert len({built.images["greet"] for built in found}) == len(changed) + 2


async def test_a_changed_name_or_mode_makes_another_image(
    factory: Factory, registries: Registries
) -> None:
    renamed = {("data/c" if name == "data/a" else name): text for name, text in SOURCE.items()}
    found = [
        await factory.build(registries, source)
        for source in (made.tar(SOURCE), made.tar(renamed), made.tar(SOURCE, mode=0o755))
    ]
    assert len({built.images["greet"] for built in found}) == 3
