"""The examples as images on a base: what is said about them, held against what is inside.

They are built, signed and pushed as the platform does it, and looked at in a container.
"""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from services.api.formats import proximl, valohai
from services.api.types_proximl import NewEndpoint
from services.builder import machine
from services.builder.base.bases import Bases
from services.builder.build import Build, Workshop
from services.builder.cache import Cache
from services.builder.claims import Built
from services.builder.depot import Depot
from services.builder.engines.buildah import Buildah
from services.builder.engines.store import Store
from services.builder.parts import Tools
from services.builder.python import indexes
from services.scheduler.trust import Trust
from shared import attestation, dsse
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.endpoint import Definition, Endpoint
from shared.image import CONFIG_TYPE, Descriptor
from shared.registry import Reference, Registries
from tests.beds import schemas
from tests.beds.bases import bases
from tests.beds.containerd import containerd
from tests.beds.debian import program
from tests.beds.podman import Podman, podman
from tests.beds.registry import registry
from tests.builder import made
from tests.keys import Pair, pair

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMED = {"DEEPLEARNING_PY313": "python:3.11"}

INSTALLED = """
import importlib.metadata, json
print(json.dumps([[d.metadata["Name"], d.version] for d in importlib.metadata.distributions()]))
"""
SYSTEM = ("dpkg-query", "-W", "-f", "${Package} ${Version}\\n")


class Site:
    """A registry with bases, a builder for it, and who looks at what it built."""

    def __init__(
        self, workshop: Workshop, registries: Registries, address: str, folder: Path
    ) -> None:
        self.workshop, self.registries = workshop, registries
        self.address, self.folder = address, folder

    async def build(self, definition: Definition) -> Built:
        folder = Path(tempfile.mkdtemp(prefix="build-", dir=self.folder))
        held = made.claim(definition, target="container")
        return await Build(self.workshop, held, folder, lambda *_: None).run()

    async def body(self, into: Reference, image: str, kind: str) -> bytes:
        """What is said of that kind, as anybody gets it who may pull the image."""
        [found] = await self.registries.referrers(into, image, kind)
        manifest = (await self.registries.manifest(into, found.digest)).manifest
        return await self.registries.read(into, manifest.layers[0])


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    return pair(tmp_path, "ours")


@pytest.fixture
async def site(database: Database, tmp_path: Path, ours: Pair) -> AsyncIterator[Site]:
    blobs = Blobs.open(f"file:{tmp_path / 'blobs'}")
    async with registry(tmp_path / "registry") as address, Registries.open() as registries:
        program("buildah", "buildah")
        await bases(address, "python:3.9", "python:3.11")
        installer = machine.installer(tmp_path / "cache", 300.0)
        tools = Tools(
            blobs=blobs,
            cache=Cache(database, blobs),
            installer=installer,
            indexes=indexes.identity(installer.environment),
            runtime=machine.runtime_files(),
            engine=Buildah(store=Store(folder=tmp_path / "engine")),
        )
        workshop = Workshop(
            tools=tools,
            host=machine.host(),
            bases=Bases(registries, tools.cache, blobs, named=NAMED, registry=address),
            depot=Depot(registries, blobs, f"{address}/slipway"),
            signer=ours.signer,
        )
        yield Site(workshop, registries, address, tmp_path)


@pytest.fixture
def near() -> Iterator[Path]:
    """A folder with a short path, as podman wants it."""
    with tempfile.TemporaryDirectory(prefix="near-") as folder:
        yield Path(folder)


async def example(site: Site, name: str) -> Definition:
    """As it would be submitted."""
    folder, blobs = EXAMPLES / name, site.workshop.tools.blobs
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        archive.add(folder, ".")
    source = await made.put(blobs, body.getvalue())
    files: dict[str, dict[str, str]] = {}
    if (folder / "valohai.yaml").exists():
        endpoints: tuple[Endpoint, ...] = valohai.read(
            (folder / "valohai.yaml").read_text()
        ).endpoints
        for endpoint in endpoints:
            for file in endpoint.files:
                digest = await made.put(blobs, (folder / file.path).read_bytes())
                files.setdefault(endpoint.name, {})[file.name] = digest
    else:
        asked = msgspec.json.decode((folder / "endpoint.json").read_bytes(), type=NewEndpoint)
        model = msgspec.structs.replace(asked.model, source_uri=source)
        endpoints = (proximl.endpoint(msgspec.structs.replace(asked, model=model)),)
    return Definition(source=source, endpoints=endpoints, files=files)


def components(bill: bytes, *kinds: str) -> set[tuple[str, str]]:
    return {
        (each["name"], each["version"])
        for each in json.loads(bill)["components"]
        if each["purl"].startswith(tuple(f"pkg:{kind}/" for kind in kinds))
    }


def normal(found: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(canonicalize_name(name), version) for name, version in found}


async def inside(engine: Podman, image: Reference, *command: str) -> str:
    """What a command prints in the image."""
    options = ("--rm", "--network", "none", "--entrypoint", command[0])
    return await asyncio.to_thread(engine.run, "run", *options, str(image), *command[1:])


async def assert_listed(site: Site, engine: Podman, built: Built) -> None:
    """That the bill of each image lists what Python and dpkg say inside, no less and no more."""
    into = reference(built)
    for image in built.images.values():
        bill = await site.body(into, image, attestation.SBOM)
        assert_valid(bill)
        found = json.loads(await inside(engine, into.at(image), "python3", "-c", INSTALLED))
        assert normal(components(bill, "pypi")) == normal({(name, said) for name, said in found})
        system = await inside(engine, into.at(image), *SYSTEM)
        packages = {tuple(line.split(" ")) for line in system.splitlines()}
        assert components(bill, "deb") == packages


async def test_B17_a_bill_lists_what_is_installed_in_the_container(site: Site, near: Path) -> None:
    async with podman(near, registries=[site.address]) as engine:
        for name in ("greeter", "digits", "sentiment"):
            await assert_listed(site, engine, await site.build(await example(site, name)))


CHANGES = (
    "dpkg --purge --force-depends ca-certificates",
    "mkdir /usr/lib/python3/dist-packages/handmade-1.0.dist-info",
    "printf 'Name: handmade\\nVersion: 1.0\\n' >/usr/lib/python3/dist-packages/handmade-1.0.dist-info/METADATA",
)


async def test_B17_a_bill_lists_what_install_lines_left(site: Site, near: Path) -> None:
    definition = await example(site, "sentiment")
    [endpoint] = definition.endpoints
    changed = msgspec.structs.replace(endpoint, install=CHANGES)
    built = await site.build(msgspec.structs.replace(definition, endpoints=(changed,)))
    [image] = built.images.values()
    bill = await site.body(reference(built), image, attestation.SBOM)
    assert ("handmade", "1.0") in components(bill, "pypi")
    assert "ca-certificates" not in {name for name, _ in components(bill, "deb")}
    async with podman(near, registries=[site.address]) as engine:
        await assert_listed(site, engine, built)


def reference(built: Built) -> Reference:
    registry, _, repository = built.repository.partition("/")
    return Reference(registry, repository)


def assert_valid(bill: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the validator's own parts
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None


async def test_B16_provenance_names_every_input_and_is_signed(site: Site, ours: Pair) -> None:
    definition = await example(site, "digits")
    built = await site.build(definition)
    [image] = built.images.values()
    record, into = built.record["predict-digit"], reference(built)
    assert await Trust(site.registries, ours.trusted).check(built.repository, image) is None
    envelope = await site.body(into, image, attestation.PROVENANCE)
    payload = dsse.unseal(ours.trusted, attestation.STATEMENT, envelope)
    assert payload is not None
    statement = json.loads(payload)
    materials = {
        each["name"]: each["digest"]
        for each in statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    }
    assert record.base is not None
    wanted = {
        "source": definition.source,
        "base": record.base.reference.partition("@")[2],
        "lock": record.lock,
        "file/model": definition.files["predict-digit"]["model"],
    }
    assert materials == {
        name: {"sha256": digest.removeprefix("sha256:")} for name, digest in wanted.items()
    }
    lock = await site.workshop.tools.blobs.read(record.lock)
    assert b"numpy==" in lock
    assert b"--hash=sha256:" in lock


async def test_B11_building_again_says_the_same(site: Site) -> None:
    definition = await example(site, "greeter")
    first, again = await site.build(definition), await site.build(definition)
    assert (first.images, first.record) == (again.images, again.record)
    for image in first.images.values():
        listed = await site.registries.referrers(reference(first), image)
        assert len(listed) == 3


async def test_images_on_a_base_are_as_the_specification_wants_them(site: Site) -> None:
    built = await site.build(await example(site, "greeter"))
    into = reference(built)
    for image in built.images.values():
        manifest = schemas.check(
            schemas.MANIFEST, (await site.registries.manifest(into, image)).body
        )
        config = manifest["config"]
        assert config["mediaType"] == CONFIG_TYPE
        described = msgspec.convert(config, Descriptor)
        found = schemas.check(schemas.CONFIG, await site.registries.read(into, described))
        assert len(found["rootfs"]["diff_ids"]) == len(manifest["layers"])
        assert found["config"]["Labels"]["dev.slipway.format"] == "valohai"
        base = built.record[found["config"]["Labels"]["dev.slipway.endpoint"]].base
        assert base is not None
        said = manifest["annotations"]["org.opencontainers.image.base.digest"]
        assert base.reference.endswith(f"@{said}")


CALL = "import predict; assert predict.predict('a wonderful film')['label'] == 'positive'"


async def test_containerd_runs_an_example(site: Site, tmp_path: Path) -> None:
    built = await site.build(await example(site, "sentiment"))
    [image] = built.images.values()
    where = str(reference(built).at(image))
    async with containerd(tmp_path / "containerd") as engine:
        await engine.pull(where)
        # by its exit code: now and then `ctr` loses what a container says (containerd#5741)
        await engine.run(where, "python3", "-c", CALL)
