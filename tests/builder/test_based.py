"""Building on base images: a real registry, real systems with their own Python, nothing run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.builder import image as images
from services.builder import place
from services.builder.base.bases import Base, Bases
from services.builder.build import Build, Workshop
from services.builder.claims import Built
from services.builder.depot import Depot
from services.builder.engines import Layer, Step, Write
from services.builder.logbook import Stream
from shared import image
from shared.endpoint import Command, Definition, Endpoint, Wsgi
from shared.errors import Invalid, Permanent, Transient
from shared.registry import Reference, Registries, parse
from tests.beds.bases import bases
from tests.beds.registry import registry
from tests.builder import made

SOURCE = {"app.py": "def application(environ, start): ...\n", "requirements.txt": "tiny\n"}


class Bench:
    def __init__(self, shop: Workshop, registries: Registries, folder: Path, address: str) -> None:
        self.shop, self.registries, self.folder, self.address = shop, registries, folder, address
        self.said: list[str] = []
        self.count = 0

    def write(self, text: str, stream: Stream = "platform") -> None:
        self.said.append(text)

    async def build(
        self, *endpoints: Endpoint, files: dict[str, str] | None = None, project: str = "acme/web"
    ) -> Built:
        source = await made.put(self.shop.tools.blobs, made.tar(files or SOURCE))
        definition = Definition(source=source, endpoints=endpoints)
        self.count += 1
        folder = self.folder / f"build{self.count}"
        folder.mkdir()
        held = made.claim(definition, target="container", project=project)
        return await Build(self.shop, held, folder, self.write).run()

    async def pushed(self, built: Built, endpoint: str = "greet") -> image.Manifest:
        where = parse(f"{built.repository}@{built.images[endpoint]}")
        return (await self.registries.resolve(where)).manifest

    async def image(self, found: Reference, into: Reference) -> bytes:
        """Have all of an image in another repository; its manifest."""
        moved = await self.registries.resolve(found)
        for part in (moved.manifest.config, *moved.manifest.layers):
            body = await self.registries.read(moved.reference, part, limit=1 << 30)
            await self.registries.push_blob(into, part, lambda body=body: _once(body))
        return moved.body

    async def config(self, built: Built, endpoint: str = "greet") -> image.Config:
        manifest = await self.pushed(built, endpoint)
        body = await self.registries.read(parse(built.repository), manifest.config)
        return msgspec.json.decode(body, type=image.Config)


@asynccontextmanager
async def benched(workshop: Workshop, registries: Registries, folder: Path) -> AsyncIterator[Bench]:
    async with registry(folder / "registry") as address:
        await bases(address, "python:3.11", "python:3.13", "debian:bookworm")
        tools = workshop.tools
        shop = msgspec.structs.replace(
            workshop,
            bases=Bases(
                registries,
                tools.cache,
                tools.blobs,
                named={"DEEPLEARNING_PY313": "python:3.13"},
                registry=address,
                place=place.read(f"{address}/slipway"),
            ),
            depot=Depot(registries, tools.blobs, f"{address}/slipway"),
        )
        yield Bench(shop, registries, folder, address)


@pytest.fixture
async def bench(workshop: Workshop, registries: Registries, tmp_path: Path) -> AsyncIterator[Bench]:
    async with benched(workshop, registries, tmp_path) as opened:
        yield opened


def wsgi(**changes: object) -> Endpoint:
    return made.endpoint(entry=Wsgi(app="app"), image="python:3.11", **changes)


async def test_an_image_is_its_bases_layers_and_ours(bench: Bench) -> None:
    built = await bench.build(wsgi())
    assert built.repository == f"{bench.address}/slipway/acme/web"
    base = await bench.registries.resolve(Reference(bench.address, "python", "3.11"))
    manifest = await bench.pushed(built)
    assert [layer.digest for layer in manifest.layers[:1]] == [
        layer.digest for layer in base.manifest.layers
    ]
    roles = [layer.annotations["dev.slipway.layer"] for layer in images.ours(manifest)]
    assert roles == ["python", "runtime", "home", "code"]
    config = await bench.config(built)
    assert len(config.rootfs.diff_ids) == len(manifest.layers)
    assert config.config.entrypoint[0] == "/usr/bin/python3"
    assert config.config.user == "1000:1000"
    record = built.record["greet"]
    assert record.base == image.BaseRecord(name="python:3.11", reference=str(base.reference))
    assert record.python.startswith("3.11.")


async def test_packages_are_those_of_the_bases_own_python(bench: Bench) -> None:
    built = await bench.build(
        wsgi(), made.endpoint("other", image="DEEPLEARNING_PY313", entry=Wsgi(app="app"))
    )
    assert built.record["other"].python.startswith("3.13.")
    for endpoint, python in (("greet", "3.11"), ("other", "3.13")):
        manifest = await bench.pushed(built, endpoint)
        [layer] = [part for part in images.ours(manifest) if "python" in part.annotations.values()]
        content = await bench.shop.tools.blobs.read(layer.digest)
        assert f"slipway/python/lib/python{python}/site-packages/tiny".encode() in content
        lock = await bench.shop.tools.blobs.read(built.record[endpoint].lock)
        assert b"tiny==1.0 \\\n    --hash=sha256:" in lock


async def test_everything_that_is_said_refers_to_the_image(bench: Bench) -> None:
    built = await bench.build(wsgi())
    found = await bench.registries.referrers(parse(built.repository), built.images["greet"])
    assert {one.artifact_type for one in found} == set(built.record["greet"].artifacts)
    assert len(found) == 2  # nothing is signed without a key


async def test_a_tag_names_the_version_and_the_endpoint(bench: Bench) -> None:
    built = await bench.build(wsgi())
    tags = await bench.registries.tags(parse(built.repository))
    assert "v1-greet" in tags
    resolved = await bench.registries.resolve(parse(f"{built.repository}:v1-greet"))
    assert resolved.reference.digest == built.images["greet"]


async def test_a_base_that_moves_under_its_tag_gives_another_image_from_then_on(
    bench: Bench,
) -> None:
    first = await bench.build(wsgi())
    place = Reference(bench.address, "python")
    moved = await bench.image(Reference(bench.address, "python", "3.13"), place)
    await bench.registries.push_manifest(place, moved, image.MANIFEST_TYPE, "3.11")
    second = await bench.build(wsgi())
    assert first.images != second.images
    assert second.record["greet"].python.startswith("3.13.")
    assert await bench.pushed(first)  # who runs the first still can


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def test_one_changed_line_pushes_one_layer_and_keeps_the_others(bench: Bench) -> None:
    first = await bench.pushed(await bench.build(wsgi()))
    second = await bench.pushed(await bench.build(wsgi(), files=SOURCE | {"app.py": "changed\n"}))
    same = {part.digest for part in first.layers} & {part.digest for part in second.layers}
    assert len(same) == len(first.layers) - 1


async def test_building_again_changes_nothing_and_finds_it(bench: Bench) -> None:
    first = await bench.build(wsgi())
    assert await bench.build(wsgi()) == first
    assert any("built before" in line for line in bench.said)


async def test_a_base_without_python_serves_commands_that_need_no_packages(bench: Bench) -> None:
    endpoint = made.endpoint(image="debian:bookworm", entry=Command(lines=("exec sleep 9",)))
    built = await bench.build(endpoint, files={"serve.sh": "true\n"})
    assert built.record["greet"].python == ""
    with pytest.raises(Invalid, match="has no Python"):
        await bench.build(made.endpoint(image="debian:bookworm", entry=Wsgi(app="app")))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("python:4", "not in the registry"),
        ("nobody/knows:1", "not in the registry"),
        ("DEEPLEARNING_PY27", "environments of this platform are DEEPLEARNING_PY313"),
        ("", "is empty"),
    ],
)
async def test_a_base_that_is_not_there_is_named(bench: Bench, name: str, why: str) -> None:
    with pytest.raises(Invalid, match=why) as caught:
        await bench.build(made.endpoint(image=name))
    assert caught.value.field == "image"


async def test_without_a_registry_of_ours_nothing_is_built_for_containers(
    bench: Bench,
) -> None:
    bench.shop = msgspec.structs.replace(bench.shop, depot=None)
    with pytest.raises(Permanent, match="REGISTRY"):
        await bench.build(wsgi())


async def test_two_projects_share_no_layer_that_one_of_them_made(bench: Bench) -> None:
    engine, endpoint = await uneven(bench, 1), wsgi(install=("date > /opt/number",))
    first = await bench.build(endpoint)
    keys = await bench.shop.tools.cache._database.fetch("SELECT key, digest FROM layers")
    await bench.build(endpoint, project="other/web")
    again = await bench.shop.tools.cache._database.fetch("SELECT key, digest FROM layers")
    made_for_the_other = {row["key"] for row in again} - {row["key"] for row in keys}
    kinds = sorted(key.partition(":")[0] for key in made_for_the_other)
    assert kinds == ["code", "image", "install", "lock", "python"]
    assert engine.count == 2
    assert first.repository != f"{bench.address}/slipway/other/web"


async def test_what_one_owner_built_is_no_base_for_another(bench: Bench) -> None:
    """Though it is in the registry that all are pushed to, with one login."""
    built = await bench.build(wsgi())
    for name in (f"{built.repository}@{built.images['greet']}", f"{built.repository}:v1-greet"):
        with pytest.raises(Invalid, match="of another owner"):
            await bench.build(made.endpoint(image=name), project="other/web")
        with pytest.raises(Invalid, match="of another owner"):
            await bench.build(
                made.endpoint(image=name.removeprefix(f"{bench.address}/")), project="other/web"
            )
        own = await bench.build(made.endpoint(image=name), project="acme/further")
        assert own.record["greet"].base is not None


class Uneven:
    """An engine whose steps never give the same twice; it waits until so many run."""

    def __init__(self, at_once: int) -> None:
        self.count = 0
        self.barrier = asyncio.Barrier(at_once)

    async def run(self, step: Step, folder: Path, write: Write) -> Layer:
        self.count += 1
        path = folder / "step.tar"
        path.write_bytes(made.tar({"opt/number": str(self.count)}))
        await self.barrier.wait()
        return Layer(path=path, size=path.stat().st_size, members=1)


async def uneven(bench: Bench, at_once: int) -> Uneven:
    engine = Uneven(at_once)
    tools = msgspec.structs.replace(bench.shop.tools, engine=engine)
    bench.shop = msgspec.structs.replace(bench.shop, tools=tools)
    return engine


async def test_builds_of_the_same_at_a_time_agree_on_what_one_of_them_made(bench: Bench) -> None:
    engine, endpoint = await uneven(bench, 2), wsgi(install=("date > /opt/number",))
    first, second = await asyncio.gather(bench.build(endpoint), bench.build(endpoint))
    assert engine.count == 2
    assert first == second
    assert await bench.build(endpoint) == first


async def test_an_image_that_lost_a_layer_is_made_once_more_and_then_found(bench: Bench) -> None:
    engine, endpoint = await uneven(bench, 1), wsgi(install=("date > /opt/number",))
    first = await bench.build(endpoint)
    [lost] = [
        layer.digest
        for layer in images.ours(await bench.pushed(first))
        if "install" in layer.annotations.values()
    ]
    (bench.folder / "blobs" / "sha256" / lost[7:9] / lost[7:]).unlink()
    second = await bench.build(endpoint)
    assert second.images != first.images
    bench.said.clear()
    assert await bench.build(endpoint) == second
    assert any("built before" in line for line in bench.said)
    assert engine.count == 2


async def test_B13_a_tag_that_somebody_moves_changes_no_version(bench: Bench) -> None:
    built = await bench.build(wsgi())
    other = await bench.build(wsgi(), files=SOURCE | {"app.py": "evil\n"})
    place = parse(f"{built.repository}:v1-greet")
    assert (await bench.registries.resolve(place)).reference.digest == other.images["greet"]
    app = (await bench.pushed(built)).layers[-1]
    assert b"def application" in await bench.registries.read(place, app)
    assert await bench.build(wsgi()) == built
    assert (await bench.registries.resolve(place)).reference.digest == built.images["greet"]


async def test_B10_a_registry_that_is_away_costs_only_the_push(bench: Bench) -> None:
    here = bench.shop
    away = Depot(bench.registries, here.tools.blobs, "127.0.0.1:1/slipway")
    bench.shop = msgspec.structs.replace(here, depot=away)
    with pytest.raises(Transient, match=r"^push: "):
        await bench.build(wsgi())
    bench.shop = here
    bench.said.clear()
    built = await bench.build(wsgi())
    assert any("built before" in line for line in bench.said)
    assert not any("installing" in line for line in bench.said)
    assert await bench.pushed(built)


async def test_endpoints_of_one_version_stand_on_one_base_whoever_moves_its_tag(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them moves it, for all that comes after."""
    find, found = bench.shop.bases.find, []
    place = Reference(bench.address, "python")

    async def moving(*asked: Any) -> Base:
        found.append(await find(*asked))
        other = await bench.image(Reference(bench.address, "python", "3.13"), place)
        await bench.registries.push_manifest(place, other, image.MANIFEST_TYPE, "3.11")
        return found[-1]

    monkeypatch.setattr(bench.shop.bases, "find", moving)
    built = await bench.build(wsgi(), made.endpoint("other", image="python:3.11"))
    assert len(found) == 1
    assert len({record.base for record in built.record.values()}) == 1
