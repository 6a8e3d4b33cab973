"""Pushing images: what is sent, what is not sent again, and what is found to be lost."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.builder import image as images
from services.builder import layers, recipe
from services.builder.artifacts.artifact import Artifact
from services.builder.depot import AT_ONCE, Depot, together
from services.builder.image import Layer, Under
from shared import image
from shared.blobs import Blob, Blobs, digest_of
from shared.errors import Permanent
from shared.image import Descriptor
from shared.registry import NotFound, Reference, Registries
from tests.beds.registry import registry
from tests.builder import made

HOST = recipe.Host(python="3.11.2", platform="linux-x86_64-glibc-2.36", architecture="amd64")
BILL = Artifact(artifact_type="application/vnd.test", media_type="text/plain", body=b"a bill")


class Bench:
    def __init__(self, folder: Path, address: str, registries: Registries, blobs: Blobs) -> None:
        self.folder, self.registries, self.blobs = folder, registries, blobs
        self.base = Reference(registry=address, repository="bases/tiny", tag="1")
        self.depot = Depot(registries, blobs, f"{address}/slipway")
        self.into = self.depot.repository("acme/web")

    async def put(self, content: bytes, repository: Reference) -> Descriptor:
        blob = await self.blobs.put_bytes(content)
        await self.registries.push_blob(repository, blob, lambda: self.blobs.stream(blob.digest))
        return Descriptor(media_type=image.LAYER_TYPE, digest=blob.digest, size=blob.size)

    async def pushed_base(self) -> tuple[Reference, Under]:
        """A base of one layer, which no store of ours keeps."""
        layer = await self.put(b"".join(layers.small({"/etc/os-release": b"ID=tiny\n"})), self.base)
        kept = await images.keep(
            self.blobs, recipe.container(made.endpoint(), HOST), HOST, (), under=under(layer)
        )
        manifest = await images.read(self.blobs, kept.digest)
        await self.put(await self.blobs.read(manifest.config.digest), self.base)
        body = await self.blobs.read(kept.digest)
        await self.registries.push_manifest(self.base, body, image.MANIFEST_TYPE, "1")
        await self.lose(layer.digest)
        return self.base.at(kept.digest), under(layer)

    async def lose(self, digest: str) -> None:
        """Have a blob no more here."""
        self.blobs_path(digest).unlink()

    def blobs_path(self, digest: str) -> Path:
        return self.folder / "blobs" / "sha256" / digest[7:9] / digest[7:]

    async def image(self, code: bytes, under: Under) -> Blob:
        small = b"".join(layers.small({"/valohai/code/serve.py": code}))
        part = Layer(role="code", blob=await self.blobs.put_bytes(small))
        container = recipe.container(made.endpoint(), HOST)
        return await images.keep(self.blobs, container, HOST, [part], under=under)


def under(layer: Descriptor) -> Under:
    return Under(layers=(layer,), diff_ids=(layer.digest,))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with registry(tmp_path / "registry") as address, Registries.open() as registries:
        yield Bench(tmp_path, address, registries, Blobs.open(f"file:{tmp_path / 'blobs'}"))


async def test_an_image_on_a_base_is_all_there_by_its_digest(bench: Bench) -> None:
    base, below = await bench.pushed_base()
    kept = await bench.image(b"print(1)", below)
    await bench.depot.push(bench.into, kept, base)
    await bench.depot.attach(bench.into, kept, [BILL])
    assert await bench.depot.holds(bench.into, kept.digest)
    found = await bench.registries.resolve(bench.into.at(kept.digest))
    for part in (found.manifest.config, *found.manifest.layers):
        await bench.registries.read(bench.into, part)
    [said] = await bench.registries.referrers(bench.into, kept.digest)
    assert said.artifact_type == "application/vnd.test"


async def test_a_base_that_is_not_ours_to_store_is_never_fetched(bench: Bench) -> None:
    base, below = await bench.pushed_base()
    kept = await bench.image(b"print(1)", below)
    await bench.depot.push(bench.into, kept, base)
    assert await bench.blobs.size(below.layers[0].digest) is None


async def test_nothing_has_a_tag_until_it_is_given(bench: Bench) -> None:
    base, below = await bench.pushed_base()
    kept = await bench.image(b"print(1)", below)
    await bench.depot.push(bench.into, kept, base)
    assert await bench.registries.tags(bench.into) == ()
    await bench.depot.tag(bench.into, kept.digest, "v1-greet")
    assert await bench.registries.tags(bench.into) == ("v1-greet",)
    resolved = await bench.registries.resolve(bench.into.tagged("v1-greet"))
    assert resolved.reference.digest == kept.digest


async def test_what_a_registry_lost_is_pushed_again(bench: Bench) -> None:
    base, below = await bench.pushed_base()
    await bench.depot.push(bench.into, await bench.image(b"print(1)", below), base)
    kept = bench.folder / "registry"
    [own] = [path for path in kept.rglob("acme") if path.is_dir()]
    shutil.rmtree(own)
    again = await bench.image(b"print(2)", below)
    await bench.depot.push(bench.into, again, base)
    assert await bench.depot.holds(bench.into, again.digest)


async def test_what_is_said_is_said_again_to_a_registry_that_lost_it(bench: Bench) -> None:
    base, below = await bench.pushed_base()
    for code in (b"print(1)", b"print(2)"):
        kept = await bench.image(code, below)
        await bench.depot.push(bench.into, kept, base)
        await bench.depot.attach(bench.into, kept, [BILL])
        [own] = [path for path in (bench.folder / "registry").rglob("acme") if path.is_dir()]
        shutil.rmtree(own)
        await bench.depot.attach(bench.into, await bench.image(code + b"\n", below), [BILL])
        await bench.depot.push(bench.into, kept, base)
        await bench.depot.attach(bench.into, kept, [BILL])
        [said] = await bench.registries.referrers(bench.into, kept.digest)
        found = await bench.registries.manifest(bench.into, said.digest)
        assert await bench.registries.read(bench.into, found.manifest.layers[0]) == BILL.body


@pytest.mark.parametrize("lost", ["what was said", "the list of it"])
async def test_what_is_said_is_attached_again_where_somebody_took_it_away(
    bench: Bench, lost: str
) -> None:
    """The image itself is there still, so pushing it notices nothing."""
    base, below = await bench.pushed_base()
    kept = await bench.image(b"print(1)", below)
    await bench.depot.push(bench.into, kept, base)
    await bench.depot.attach(bench.into, kept, [BILL])
    [said] = await bench.registries.referrers(bench.into, kept.digest)
    listed = await bench.registries._pull.get(bench.into.tagged(kept.digest.replace(":", "-")))
    gone = said.digest if lost == "what was said" else digest_of(listed.body)
    await bench.registries.delete(bench.into, gone)
    await bench.depot.push(bench.into, kept, base)
    await bench.depot.attach(bench.into, kept, [BILL])
    assert await bench.registries.referrers(bench.into, kept.digest) == (said,)
    found = await bench.registries.manifest(bench.into, said.digest)
    assert await bench.registries.read(bench.into, found.manifest.layers[0]) == BILL.body


async def test_a_base_that_comes_slowly_holds_up_no_other_project(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, below = await bench.pushed_base()
    slow, begun = asyncio.Event(), asyncio.Semaphore(0)

    async def push_blob(into: Reference, blob: Blob, *_: object) -> None:
        begun.release()
        if into == bench.into:
            await slow.wait()

    async def push_manifest(*_: object) -> None: ...

    monkeypatch.setattr(bench.registries, "push_blob", push_blob)
    monkeypatch.setattr(bench.registries, "push_manifest", push_manifest)
    slowly = [
        asyncio.create_task(
            bench.depot.push(bench.into, await bench.image(str(number).encode(), below), base)
        )
        for number in range(4)
    ]
    for _ in range(AT_ONCE):
        await begun.acquire()
    image = await bench.image(b"print(1)", below)
    async with asyncio.timeout(30):
        await bench.depot.push(bench.depot.repository("other/web"), image, base)
    assert not any(task.done() for task in slowly)
    slow.set()
    await asyncio.gather(*slowly)


async def test_a_blob_that_is_gone_here_is_told_and_nothing_is_half_there(bench: Bench) -> None:
    base, below = await bench.pushed_base()
    kept = await bench.image(b"print(1)", below)
    manifest = await images.read(bench.blobs, kept.digest)
    await bench.lose(images.ours(manifest)[0].digest)
    with pytest.raises(Permanent):
        await bench.depot.push(bench.into, kept, base)
    assert not await bench.depot.holds(bench.into, kept.digest)


async def test_a_base_that_is_gone_is_told(bench: Bench) -> None:
    _, below = await bench.pushed_base()
    kept = await bench.image(b"print(1)", below)
    elsewhere = msgspec.structs.replace(bench.base, repository="bases/none").at(kept.digest)
    with pytest.raises(NotFound):
        await bench.depot.push(bench.into, kept, elsewhere)


async def test_the_first_failure_ends_what_goes_on_beside_it() -> None:
    ended = []

    async def fails() -> None:
        raise NotFound("gone")

    async def goes_on() -> None:
        try:
            await for_ever()
        finally:
            ended.append(True)

    with pytest.raises(NotFound):
        await together(goes_on(), fails())
    assert ended == [True]


async def for_ever() -> None:
    await asyncio.Event().wait()
