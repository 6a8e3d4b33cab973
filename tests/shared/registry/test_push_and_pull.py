"""Against a real registry."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from shared import image
from shared.blobs import Blob
from shared.errors import Permanent, Transient
from shared.registry import Damaged, MissingBlobs, NotFound, Reference, Registries, parse
from tests.beds.debian import program
from tests.beds.registry import registry
from tests.shared.registry.made import (
    QUICK,
    blob_of,
    config_of,
    described,
    manifest_of,
    opened,
    push,
)

LAYER, OTHER = b"layer" * 100, b"other" * 100


async def test_an_image_that_was_pushed_is_resolved_by_its_tag_to_its_digest(
    registries: Registries, app: Reference
) -> None:
    manifest, named = await push(registries, app, LAYER, tag="1")
    found = await registries.resolve(app.tagged("1"))
    assert found.manifest == manifest
    assert found.reference == app.at(named.digest)
    assert found.index_digest == ""
    assert blob_of(found.body).digest == named.digest
    assert await registries.resolve(found.reference) == found


async def test_an_image_without_a_tag_is_found_by_its_digest_alone(
    registries: Registries, app: Reference
) -> None:
    _, named = await push(registries, app, LAYER)
    assert (await registries.manifest(app, named.digest)).reference.digest == named.digest
    with pytest.raises(NotFound, match="check its name"):
        await registries.resolve(app)


async def test_an_image_that_was_pinned_stays_when_its_tag_moves(
    registries: Registries, app: Reference
) -> None:
    _, first = await push(registries, app, LAYER, tag="1")
    pinned = await registries.resolve(app.tagged("1"))
    _, second = await push(registries, app, OTHER, tag="1")
    assert (await registries.resolve(app.tagged("1"))).reference.digest == second.digest
    assert (await registries.resolve(pinned.reference)).reference.digest == first.digest


async def test_other_tools_read_what_was_pushed(registries: Registries, app: Reference) -> None:
    _, named = await push(registries, app, LAYER, OTHER, tag="1")
    process = await asyncio.create_subprocess_exec(
        *(
            program("skopeo", "skopeo"),
            "inspect",
            "--tls-verify=false",
            f"docker://{app.tagged('1')}",
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    seen = msgspec.json.decode(said)
    assert seen["Digest"] == named.digest
    assert seen["Layers"] == [blob_of(LAYER).digest, blob_of(OTHER).digest]


async def test_the_image_for_a_platform_is_picked_from_an_index(
    registries: Registries, app: Reference
) -> None:
    _, amd = await push(registries, app, LAYER)
    _, arm = await push(registries, app, OTHER)
    entries = []
    for named, architecture, variant in ((arm, "arm64", "v8"), (amd, "amd64", "")):
        platform = image.Platform(architecture=architecture, os="linux", variant=variant)
        entries.append(msgspec.structs.replace(named, platform=platform))
    index = image.Index(schema_version=2, media_type=image.INDEX_TYPE, manifests=tuple(entries))
    body = msgspec.json.encode(index)
    digest = await registries.push_manifest(app, body, image.INDEX_TYPE, "1")
    found = await registries.resolve(app.tagged("1"))
    assert (found.reference, found.index_digest) == (app.at(amd.digest), digest)
    on_arm = image.Platform(architecture="arm64", os="linux")
    found = await registries.resolve(app.tagged("1"), on_arm)
    assert (found.reference, found.index_digest) == (app.at(arm.digest), digest)
    elsewhere = image.Platform(architecture="s390x", os="linux")
    with pytest.raises(NotFound, match="no image for linux/s390x; it has linux/amd64, linux/arm64"):
        await registries.resolve(app.tagged("1"), elsewhere)


async def test_a_blob_comes_back_as_it_was(registries: Registries, app: Reference) -> None:
    content = bytes(range(256)) * 20_000
    blob = blob_of(content)
    chunks = opened(content[:7], content[7:3_000_000], content[3_000_000:])
    await registries.push_blob(app, blob, chunks)
    assert b"".join([chunk async for chunk in registries.stream(app, blob)]) == content
    assert await registries.read(app, blob) == content
    with pytest.raises(Damaged, match="larger than the 10 bytes"):
        await registries.read(app, blob, limit=10)


async def test_an_empty_blob_is_a_blob(registries: Registries, app: Reference) -> None:
    await registries.push_blob(app, blob_of(b""), opened())
    assert await registries.read(app, blob_of(b"")) == b""


async def test_a_blob_that_is_there_is_not_read_again(
    registries: Registries, app: Reference
) -> None:
    await registries.push_blob(app, blob_of(LAYER), opened(LAYER))

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    await registries.push_blob(app, blob_of(LAYER), never)
    await registries.push_blob(app, blob_of(LAYER), never, "team/app")
    other = Reference(app.registry, "team/other")
    await registries.push_blob(other, blob_of(LAYER), never, mount_from="team/app")
    assert await registries.has(other, blob_of(LAYER).digest, "blob")


async def test_what_can_not_be_mounted_is_sent(registries: Registries, app: Reference) -> None:
    for source in ("team/nothing", "team/app"):
        content = source.encode()
        await registries.push_blob(app, blob_of(content), opened(content), mount_from=source)
        assert await registries.read(app, blob_of(content)) == content


async def test_a_manifest_whose_blobs_are_missing_says_which(
    registries: Registries, app: Reference
) -> None:
    await registries.push_blob(app, blob_of(LAYER), opened(LAYER))
    body = msgspec.json.encode(manifest_of(LAYER, OTHER))
    with pytest.raises(MissingBlobs, match="lacks blobs") as refused:
        await registries.push_manifest(app, body, image.MANIFEST_TYPE, "1")
    expected = {blob_of(OTHER).digest, blob_of(config_of(LAYER, OTHER)).digest}
    assert refused.value.digests == expected
    for content in (OTHER, config_of(LAYER, OTHER)):
        await registries.push_blob(app, blob_of(content), opened(content))
    await registries.push_manifest(app, body, image.MANIFEST_TYPE, "1")


async def test_a_source_that_is_not_what_it_says_leaves_nothing_behind(
    registries: Registries, app: Reference
) -> None:
    blob = blob_of(LAYER)
    for wrong, message in ((LAYER[:-1], "ends after"), (LAYER + b"x", "is longer than")):
        with pytest.raises(Permanent, match=message):
            await registries.push_blob(app, blob, opened(wrong))
    with pytest.raises(Damaged, match="another digest"):
        await registries.push_blob(app, blob, opened(b"x" * len(LAYER)))
    assert not await registries.has(app, blob.digest, "blob")


async def test_trouble_with_the_source_is_raised_as_it_is(
    registries: Registries, app: Reference
) -> None:
    class Unplugged(Transient):
        pass

    async def source() -> AsyncIterator[bytes]:
        yield LAYER[:10]
        raise Unplugged("the store is away")

    with pytest.raises(Unplugged):
        await registries.push_blob(app, blob_of(LAYER), source)


async def test_tags_are_listed_and_go_with_what_they_name(
    registries: Registries, app: Reference
) -> None:
    assert await registries.tags(app) == ()
    _, first = await push(registries, app, LAYER, tag="1")
    _, second = await push(registries, app, OTHER, tag="2")
    await push(registries, app, OTHER, tag="latest")
    assert set(await registries.tags(app)) == {"1", "2", "latest"}
    assert await registries.has(app, second.digest, "manifest")
    for _ in range(2):
        await registries.delete(app, second.digest)
        assert await registries.tags(app) == ("1",)
        assert not await registries.has(app, second.digest, "manifest")
    assert await registries.has(app, first.digest, "manifest")


async def test_a_registry_that_comes_back_is_used_again(tmp_path: Path) -> None:
    async with Registries.open(limits=QUICK) as registries:
        async with registry(tmp_path) as address:
            app = parse(f"{address}/team/app")
            _, named = await push(registries, app, LAYER, tag="1")
        with pytest.raises(Transient, match="can't be reached"):
            await registries.resolve(app.tagged("1"))
        async with registry(tmp_path, port=int(address.rpartition(":")[2])):
            assert (await registries.resolve(app.tagged("1"))).reference == app.at(named.digest)


async def test_memory_stays_flat_however_large_a_blob_is(
    registries: Registries, app: Reference
) -> None:
    count, piece = 128, bytes(1 << 20)
    hashed = sha256()
    for _ in range(count):
        hashed.update(piece)
    blob = Blob(digest=f"sha256:{hashed.hexdigest()}", size=count * len(piece))
    tracemalloc.start()
    try:
        await registries.push_blob(app, blob, opened(*[piece] * count))
        async for _ in registries.stream(app, blob):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


async def test_many_at_a_time_do_not_disturb_one_another(
    registries: Registries, app: Reference
) -> None:
    layers = [b"%d" % number * 1_000 for number in range(40)]
    async with asyncio.TaskGroup() as group:
        for layer in [*layers, *layers]:
            group.create_task(registries.push_blob(app, blob_of(layer), opened(layer)))
    assert await asyncio.gather(*(registries.read(app, blob_of(one)) for one in layers)) == layers


async def test_a_reader_that_stops_early_leaves_the_others_alone(
    registries: Registries, app: Reference
) -> None:
    content = bytes(8 << 20)
    await registries.push_blob(app, blob_of(content), opened(content))
    for _ in range(40):
        chunks = registries.stream(app, blob_of(content))
        assert await anext(chunks)
        await chunks.aclose()
    assert await registries.read(app, blob_of(content)) == content


async def test_an_artifact_is_no_image(registries: Registries, app: Reference) -> None:
    layer = described(LAYER, image.LAYER_TYPE)
    await registries.push_blob(app, blob_of(LAYER), opened(LAYER))
    body = msgspec.json.encode(manifest_of(LAYER, config=layer))
    digest = await registries.push_manifest(app, body, image.MANIFEST_TYPE)
    with pytest.raises(Damaged, match="is not an image"):
        await registries.resolve(app.at(digest))
    assert (await registries.manifest(app, digest)).manifest.config == layer
