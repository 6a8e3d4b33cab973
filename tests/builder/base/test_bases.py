"""Finding base images in a real registry: by name, once, looked into once."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.builder.base import bases as module
from services.builder.base.bases import Bases, check, read_config
from services.builder.cache import Cache
from shared import image
from shared.blobs import Blob, Blobs, digest_of
from shared.database.pool import Database
from shared.errors import Invalid, Transient
from shared.registry import Reference, Registries, Resolved
from tests.beds import bases as systems
from tests.beds.registry import registry as real_registry
from tests.builder.base.test_look import OFFICIAL, layer

AMD64 = image.Platform(architecture="amd64", os="linux")
GZIP = image.LAYER_TYPE + "+gzip"


class Push:
    """Puts images into a registry, as somebody would who made them."""

    def __init__(self, registries: Registries, at: str) -> None:
        self.registries, self.at = registries, at

    async def blob(self, to: Reference, body: bytes, kind: str) -> image.Descriptor:
        blob = Blob(digest=digest_of(body), size=len(body))

        async def content() -> AsyncIterator[bytes]:
            yield body

        await self.registries.push_blob(to, blob, content)
        return image.Descriptor(media_type=kind, digest=blob.digest, size=blob.size)

    async def image(
        self, name: str, *layers: bytes, tag: str = "1", diff_ids: int | None = None, **config: Any
    ) -> str:
        to = Reference(registry=self.at, repository=name, tag=tag)
        body: dict[str, Any] = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {
                "type": "layers",
                "diff_ids": ["sha256:" + "0" * 64]
                * (len(layers) if diff_ids is None else diff_ids),
            },
            "config": {
                "Env": ["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.11.9"],
                "Cmd": None,
            },
        }
        whole = msgspec.json.encode(body | config)
        manifest = image.Manifest(
            schema_version=2,
            media_type=image.MANIFEST_TYPE,
            config=await self.blob(to, whole, image.CONFIG_TYPE),
            layers=tuple(
                [await self.blob(to, gzip.compress(one, mtime=0), GZIP) for one in layers]
            ),
        )
        packed = msgspec.json.encode(manifest)
        return await self.registries.push_manifest(to, packed, image.MANIFEST_TYPE, tag)


@pytest.fixture
async def push(tmp_path: Path) -> AsyncIterator[Push]:
    async with real_registry(tmp_path / "registry") as at, Registries.open() as registries:
        yield Push(registries, at)


@pytest.fixture
def cache(database: Database, blobs: Blobs) -> Cache:
    return Cache(database, blobs)


def found_by(push: Push, cache: Cache, blobs: Blobs, **more: Any) -> Bases:
    named = more.pop("named", {"DEEPLEARNING_PY311": f"{push.at}/envs/deep:1"})
    return Bases(push.registries, cache, blobs, named=named, registry=push.at, **more)


async def test_a_short_name_is_found_and_looked_into(
    push: Push, cache: Cache, blobs: Blobs
) -> None:
    digest = await push.image("python", layer(OFFICIAL), layer({"etc/more": b"x"}), tag="3.11")
    base = await found_by(push, cache, blobs).find("python:3.11", AMD64)
    assert (base.name, base.digest) == ("python:3.11", digest)
    assert str(base.reference) == f"{push.at}/python@{digest}"
    assert base.look.python is not None
    assert base.host.python == "3.11.9"
    assert base.host.platform == "x86_64-manylinux_2_36"
    assert base.host.executable == "/usr/local/bin/python3"
    assert base.config.config.env[0] == "PATH=/usr/local/bin:/usr/bin"
    assert len(base.manifest.layers) == 2


async def test_a_named_environment_is_the_image_that_it_stands_for(
    push: Push, cache: Cache, blobs: Blobs
) -> None:
    digest = await push.image("envs/deep", layer(OFFICIAL))
    base = await found_by(push, cache, blobs).find("DEEPLEARNING_PY311", AMD64)
    assert (base.name, base.digest) == ("DEEPLEARNING_PY311", digest)


async def test_a_platform_without_environments_says_so(
    push: Push, cache: Cache, blobs: Blobs
) -> None:
    with pytest.raises(Invalid) as raised:
        await found_by(push, cache, blobs, named={}).find("DEEPLEARNING_PY310", AMD64)
    assert str(raised.value) == (
        "image: is no environment; the environments of this platform are not set up (BASE_IMAGES);"
        " name an image, such as python:3.11"
    )


async def test_an_image_is_looked_into_once_however_often_it_is_wanted(
    push: Push, cache: Cache, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push.image("a", layer(OFFICIAL))
    scans: list[object] = []
    scan = module.scan
    monkeypatch.setattr(module, "scan", lambda *given: scans.append(given) or scan(*given))
    bases = found_by(push, cache, blobs)
    first, *others = await asyncio.gather(*(bases.find("a:1", AMD64) for _ in range(5)))
    assert all(other == first for other in others)
    assert await found_by(push, cache, blobs).find("a:1", AMD64) == first
    assert len(scans) == 1


async def test_a_tag_that_moved_means_the_new_image(push: Push, cache: Cache, blobs: Blobs) -> None:
    await push.image("a", layer(OFFICIAL))
    bases = found_by(push, cache, blobs)
    first = await bases.find("a:1", AMD64)
    await push.image("a", layer({"etc/os-release": b"ID=other\n"}))
    second = await bases.find("a:1", AMD64)
    assert (first.look.os, second.look.os) == ("debian", "other")
    assert (await bases.find(f"a@{first.digest}", AMD64)).look == first.look


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing:1", "not in the registry"),
        ("a:2", "not in the registry"),
        ("DEEPLEARNING_PY27", "the environments of this platform are DEEPLEARNING_PY311"),
        ("", "is empty"),
        ("a b", "lower-case"),
    ],
)
async def test_what_is_not_there_is_said_to_whom_it_concerns(
    push: Push, cache: Cache, blobs: Blobs, name: str, words: str
) -> None:
    await push.image("a", layer(OFFICIAL))
    with pytest.raises(Invalid, match=words) as caught:
        await found_by(push, cache, blobs).find(name, AMD64)
    assert caught.value.field == "image"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "arm64"}, "is for linux/arm64; linux/amd64 is needed"),
        ({"os": "windows"}, "is for windows/amd64"),
        ({"diff_ids": 5}, "names other layers"),
        ({"config": {"Volumes": {"/": {}}}}, "declares the volume /"),
        ({"config": {"Volumes": {"/slipway/python": {}}}}, "declares the volume /slipway/python"),
        ({"config": {"Env": 7}}, "config that can't be read"),
    ],
)
async def test_what_can_not_be_built_on_is_refused(
    push: Push, cache: Cache, blobs: Blobs, changes: dict[str, Any], words: str
) -> None:
    await push.image("a", layer(OFFICIAL), **changes)
    with pytest.raises(Invalid, match=words):
        await found_by(push, cache, blobs).find("a:1", AMD64)


async def test_a_layer_that_is_no_archive_is_named_by_its_number(
    push: Push, cache: Cache, blobs: Blobs
) -> None:
    await push.image("a", layer(OFFICIAL), b"hello" * 1000)
    with pytest.raises(Invalid, match=r"layer 2 is not a tar"):
        await found_by(push, cache, blobs).find("a:1", AMD64)


def resolved(layers: int, size: int, media_type: str = GZIP) -> Resolved:
    digest = "sha256:" + "0" * 64
    one = image.Descriptor(media_type=media_type, digest=digest, size=size)
    manifest = image.Manifest(
        schema_version=2,
        media_type=image.MANIFEST_TYPE,
        config=image.Descriptor(media_type=image.CONFIG_TYPE, digest=digest, size=2),
        layers=(one,) * layers,
    )
    reference = Reference(registry="registry.example", repository="a", digest=digest)
    return Resolved(reference=reference, manifest=manifest, body=b"")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (resolved(1000, 1), "has 1000 layers; 100 are allowed"),
        (resolved(2, 50_000_000_000), "has 100000000000 bytes of layers"),
        (resolved(1, 1, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), "foreign"),
        (resolved(1, 1, "text/html"), "text/html"),
    ],
)
def test_an_image_that_is_too_much_is_refused_before_it_is_fetched(
    found: Resolved, words: str
) -> None:
    with pytest.raises(Invalid, match=words):
        check(found)


def test_a_config_without_anything_is_one() -> None:
    body = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    found = read_config(body, 0, AMD64)
    assert found.config == image.ContainerConfig(entrypoint=(), working_dir="/")


def slow(chunks: list[bytes], gate: asyncio.Event) -> Any:
    async def stream(*given: Any) -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        await gate.wait()

    return stream


async def test_a_look_at_a_registry_that_fell_silent_ends(
    push: Push, cache: Cache, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push.image("a", layer(OFFICIAL))
    bases = found_by(push, cache, blobs, timeout=0.2)
    half = gzip.compress(layer(OFFICIAL))[:200]
    monkeypatch.setattr(push.registries, "stream", slow([half], asyncio.Event()))
    with pytest.raises(Transient, match=r"took longer than 0 s"):
        await bases.find("a:1", AMD64)


async def test_a_look_that_is_cancelled_leaves_no_thread_behind(
    push: Push, cache: Cache, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push.image("a", layer(OFFICIAL))
    reached = asyncio.Event()

    async def stream(*given: Any) -> AsyncIterator[bytes]:
        yield b"\x1f\x8b"
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(push.registries, "stream", stream)
    looking = asyncio.create_task(found_by(push, cache, blobs).find("a:1", AMD64))
    await reached.wait()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


async def test_a_real_system_is_told_as_it_is(push: Push, cache: Cache, blobs: Blobs) -> None:
    await systems.bases(push.at, "python:3.9", "debian:bookworm")
    bases = found_by(push, cache, blobs)
    platform = image.Platform(architecture=systems.architecture(), os="linux")
    base = await bases.find("python:3.9", platform)
    assert (base.look.os, base.look.os_version, base.look.libc) == ("debian", "11", "glibc-2.31")
    assert base.look.python is not None
    assert base.look.python.version == "3.9.2"
    assert base.look.python.names == ("python3",)
    assert base.look.python.executable == "/usr/bin/python3"
    packages = {package.name: package.version for package in base.look.packages}
    assert packages["libc6"].startswith("2.31-13")
    bare = await bases.find("debian:bookworm", platform)
    assert (bare.look.python, bare.look.no_python, bare.look.libc) == (None, "", "glibc-2.36")


async def test_nobody_waits_for_the_same_image_to_come_from_a_slower_place(
    push: Push, cache: Cache, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("slow/mirror", "a"):
        await push.image(name, layer(OFFICIAL))
    bases, reached, stream = found_by(push, cache, blobs), asyncio.Event(), push.registries.stream

    async def slowly(reference: Reference, blob: Any) -> AsyncIterator[bytes]:
        if reference.repository == "slow/mirror":
            reached.set()
            await asyncio.Event().wait()
        async for chunk in stream(reference, blob):
            yield chunk

    monkeypatch.setattr(push.registries, "stream", slowly)
    waiting = asyncio.create_task(bases.find("slow/mirror:1", AMD64))
    await reached.wait()
    async with asyncio.timeout(30):
        assert (await bases.find("a:1", AMD64)).look.os == "debian"
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
