"""Packages without a wheel, built inside a real base by the real engine, and installed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.builder import image as images
from services.builder import machine
from services.builder.base.bases import Bases
from services.builder.build import Build, Workshop
from services.builder.claims import Built
from services.builder.depot import Depot
from services.builder.engines import Limits
from services.builder.engines.buildah import Buildah
from services.builder.engines.store import Store
from services.builder.logbook import Stream
from services.builder.python import indexes
from services.builder.python.wanted import NoWheel
from services.builder.sandbox import gates
from shared.endpoint import Command, Definition
from shared.registry import Registries, parse
from tests.beds.bases import bases
from tests.beds.debian import program
from tests.beds.registry import registry
from tests.builder import made
from tests.builder.python.shelf import shelf

SECRET = "s3cr3t-of-acme"
SERVER = Command(lines=("exec sleep 9",))


class Bench:
    def __init__(self, shop: Workshop, registries: Registries, folder: Path) -> None:
        self.shop, self.registries, self.folder = shop, registries, folder
        self.said: list[str] = []
        self.count = 0

    def write(self, text: str, stream: Stream = "platform") -> None:
        self.said.append(text)

    def reaching(self, *gates: str) -> None:
        """An engine that lets these through."""
        engine = Buildah(
            store=Store(folder=self.folder / "bases"), limits=Limits(seconds=120.0), gates=gates
        )
        self.change(engine=engine)

    def change(self, **changes: object) -> None:
        tools = msgspec.structs.replace(self.shop.tools, **changes)
        self.shop = msgspec.structs.replace(self.shop, tools=tools)

    async def build(self, files: dict[str, str], **changes: Any) -> Built:
        """With nothing that an earlier build left but its caches."""
        source = await made.put(self.shop.tools.blobs, made.tar(files))
        endpoint = made.endpoint(image="python:3.11", entry=SERVER, **changes)
        definition = Definition(source=source, endpoints=(endpoint,))
        self.count += 1
        folder = self.folder / f"build{self.count}"
        folder.mkdir()
        held = made.claim(definition, target="container")
        try:
            return await Build(self.shop, held, folder, self.write).run()
        finally:
            left = {path.name for path in folder.iterdir()} & {"kit", "kit.tar"}
            left |= {path.name for path in folder.glob("layer-*")}
            assert left == set()

    async def packages(self, built: Built) -> bytes:
        where = parse(f"{built.repository}@{built.images['greet']}")
        manifest = (await self.registries.resolve(where)).manifest
        [layer] = [part for part in images.ours(manifest) if "python" in part.annotations.values()]
        return await self.shop.tools.blobs.read(layer.digest)

    async def lock(self, built: Built) -> str:
        return (await self.shop.tools.blobs.read(built.record["greet"].lock)).decode()

    def times(self, text: str) -> int:
        return sum(text in line for line in self.said)


@pytest.fixture
async def bench(workshop: Workshop, registries: Registries, tmp_path: Path) -> AsyncIterator[Bench]:
    async with registry(tmp_path / "registry") as address:
        program("buildah", "buildah")
        await bases(address, "python:3.11")
        tools = workshop.tools
        shop = msgspec.structs.replace(
            workshop,
            bases=Bases(registries, tools.cache, tools.blobs, named={}, registry=address),
            depot=Depot(registries, tools.blobs, f"{address}/slipway"),
        )
        found = Bench(shop, registries, tmp_path)
        found.reaching()
        yield found


async def test_what_has_no_wheel_is_built_once_by_the_bases_own_python(
    bench: Bench, wheels: Path
) -> None:
    architecture = "x86_64" if bench.shop.host.architecture == "amd64" else "aarch64"
    tag = f"cp311-cp311-linux_{architecture}"
    source = made.sdist(wheels, "needy", "2.0", tag=tag, needs="other<2")
    for version in ("1.0", "2.0"):
        made.sdist(wheels, "other", version)
    built = await bench.build({"requirements.txt": "needy\ntiny\n"})
    content = await bench.packages(built)
    python = built.record["greet"].python
    assert f"built_by = '{python}'".encode() in content
    assert bench.times(f"with Python {python}") == 2
    lock = await bench.lock(built)
    assert [line for line in lock.splitlines() if "==" in line] == [
        "needy==2.0 \\",
        "other==1.0 \\",
        "tiny==1.0 \\",
    ]
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert f"--hash=sha256:{digest}" in lock
    again = await bench.build({"requirements.txt": "needy\ntiny\n", "app.py": "changed\n"})
    assert await bench.packages(again) == content
    made.sdist(wheels, "third", "1.0")
    await bench.build({"requirements.txt": "needy\ntiny\nthird\n"})
    assert [line for line in bench.said if line.startswith("building") and "with" in line][2:] == [
        f"building third with Python {python}"
    ]


async def test_what_has_to_be_built_to_be_known_is_built_once(bench: Bench, wheels: Path) -> None:
    made.sdist(wheels, "needy", "2.0", hook="", needs="tiny")
    built = await bench.build({"requirements.txt": "needy\n"})
    assert bench.times("building needy") == 1
    assert "tiny==1.0" in await bench.lock(built)


async def test_parts_of_the_source_are_built_as_any_other_package(bench: Bench) -> None:
    files = {"requirements.txt": "tiny\n./part\n-e other\n"}
    for name in ("part", "other"):
        files |= {f"{name}/{path}": text for path, text in made.package(name, "1").items()}
    built = await bench.build(files)
    content = await bench.packages(built)
    lock = await bench.lock(built)
    for name in ("part", "other"):
        assert f"site-packages/{name}.py".encode() in content
        assert f"{name}==1 \\\n    --hash=sha256:" in lock
    assert "tiny==1.0" in lock


async def test_packages_of_the_system_are_there_before_anything_is_built(
    bench: Bench, wheels: Path
) -> None:
    first = "import subprocess; subprocess.run(['tree', '--version'], check=True)"
    made.sdist(wheels, "needy", "2.0", first=first)
    bench.reaching(*gates.of_machine({}))
    built = await bench.build(
        {"requirements.txt": "needy\n"},
        apt_packages=("tree",),
    )
    assert b"site-packages/needy.py" in await bench.packages(built)


async def test_a_build_reaches_the_indexes_of_its_project_and_tells_no_password(
    bench: Bench, tmp_path: Path
) -> None:
    async with shelf(tmp_path / "own", f"ann:{SECRET}") as own:
        tell = "import os; print(os.environ.get('UV_DEFAULT_INDEX'), flush=True)"
        made.sdist(own.folder, "needy", "2.0", first=tell)
        bench.reaching(own.address)
        online = machine.installer(tmp_path / "cache", 60.0, {"PATH": "/usr/bin:/bin"})
        private = msgspec.structs.replace(online, private=(f"http://{own.address}",))
        bench.change(installer=private, indexes=indexes.identity(online.environment))
        files = {"requirements.txt": "needy==2.0\n", "pip.conf": own.conf("index-url")}
        built = await bench.build(files)
        assert SECRET.encode() not in await bench.packages(built)
        assert SECRET not in "\n".join([*bench.said, await bench.lock(built)])
        assert own.address in "\n".join(bench.said)


NO_COMPILER = "raise SystemExit(\"error: command 'gcc' failed: No such file or directory\")"


async def test_a_build_that_fails_names_its_package_and_what_the_base_lacks(
    bench: Bench, wheels: Path
) -> None:
    made.sdist(wheels, "needy", "2.0", first=NO_COMPILER)
    with pytest.raises(NoWheel) as caught:
        await bench.build({"requirements.txt": "needy\n"})
    reason = str(caught.value)
    assert reason.startswith("needy: there is no wheel for Python 3.11.")
    assert "command 'gcc' failed" in reason
    assert "build-essential" in reason


async def test_without_an_engine_nothing_is_built(bench: Bench, wheels: Path) -> None:
    made.sdist(wheels, "needy", "2.0")
    bench.change(engine=None)
    with pytest.raises(NoWheel, match=r"needy: there is no wheel .* no build engine"):
        await bench.build({"requirements.txt": "needy\n"})


async def test_the_hashes_of_an_owner_are_those_of_the_source(bench: Bench, wheels: Path) -> None:
    source = made.sdist(wheels, "needy", "2.0")
    right = f"--hash=sha256:{hashlib.sha256(source.read_bytes()).hexdigest()}"
    wrong = f"--hash=sha256:{'0' * 64}"
    assert right in await bench.lock(
        await bench.build({"requirements.txt": f"needy==2.0 {right}\n"})
    )
    with pytest.raises(NoWheel, match="hashes given for needy"):
        await bench.build({"requirements.txt": f"needy==2.0 {wrong}\n"})
