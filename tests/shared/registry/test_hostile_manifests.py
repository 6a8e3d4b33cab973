"""Manifests and indexes that are not what they say, or could be read in two ways."""

from __future__ import annotations

import msgspec
import pytest
from aiohttp import web

from shared import image
from shared.errors import Permanent
from shared.registry import Damaged, NotFound, Registries
from tests.shared.registry.made import (
    blob_of,
    described,
    manifest_of,
)
from tests.shared.registry.scripted import (
    BLOB,
    BODY,
    LAYER,
    MANIFEST,
    manifest_answer,
    manifests,
    scripted,
)

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


async def test_a_manifest_of_another_digest_is_refused(hasty: Registries) -> None:
    other = msgspec.json.encode(manifest_of(b"other"))
    async with scripted(manifests(other)) as server:
        with pytest.raises(Damaged, match="instead"):
            await hasty.resolve(server.reference.at(blob_of(BODY).digest))
    async with scripted(manifests(other, Docker_Content_Digest=blob_of(BODY).digest)) as server:
        with pytest.raises(Damaged):
            await hasty.resolve(server.reference)


def changed(**changes: object) -> bytes:
    document = msgspec.json.decode(BODY) | changes
    return msgspec.json.encode({key: value for key, value in document.items() if value != "gone"})


SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
INDEX = image.Index(
    schema_version=2,
    media_type=image.INDEX_TYPE,
    manifests=(described(BODY, image.MANIFEST_TYPE),),
)
PART = msgspec.to_builtins(described(LAYER, image.LAYER_TYPE))


@pytest.mark.parametrize(
    ("body", "media_type", "message"),
    [
        (msgspec.json.encode(INDEX), image.MANIFEST_TYPE, "something else than its media type"),
        (BODY, image.INDEX_TYPE, "something else than its media type"),
        (BODY, DOCKER_MANIFEST, "something else than its media type"),
        (changed(mediaType="gone"), image.INDEX_TYPE, "not what its media type says"),
        (changed(manifests=[]), image.MANIFEST_TYPE, "two kinds of things"),
        (changed(fsLayers=[]), image.MANIFEST_TYPE, "two kinds of things"),
        (changed(manifests=[], mediaType="gone"), image.INDEX_TYPE, "two kinds of things"),
        (changed(layers="gone"), image.MANIFEST_TYPE, "not what its media type says"),
        (changed(config=None), image.MANIFEST_TYPE, "not what its media type says"),
        (changed(schemaVersion=1), image.MANIFEST_TYPE, "schema version 2"),
        (b'{"schemaVersion": 1}', SIGNED, "schema 1"),
        (BODY, "text/html", "not of a kind that is supported here: text/html"),
        (BODY, "", "not of a kind"),
        (BODY, "x" * 5_000, "not of a kind"),
        (b"", image.MANIFEST_TYPE, "not JSON"),
        (b"\xff\xfe", image.MANIFEST_TYPE, "not JSON"),
        (b'{"schemaVersion": 2, "mediaType": "\xff"}', image.MANIFEST_TYPE, "not JSON"),
        (b"[" * 1_000_000, image.MANIFEST_TYPE, "lacks something"),
        (b'{"layers":' + b"[" * 1_000_000, image.MANIFEST_TYPE, "nested too deep"),
        (changed(layers=[PART | {"digest": "sha256:../../x"}]), image.MANIFEST_TYPE, "sha256"),
        (changed(layers=[PART | {"digest": "sha512:" + "a" * 128}]), image.MANIFEST_TYPE, "sha256"),
        (changed(layers=[PART | {"size": -1}]), image.MANIFEST_TYPE, "impossible size"),
        (changed(layers=[PART | {"size": 1 << 62}]), image.MANIFEST_TYPE, "impossible size"),
        (changed(layers=[PART | {"size": 1.5}]), image.MANIFEST_TYPE, "another type"),
        (changed(layers=[PART] * 501), image.MANIFEST_TYPE, "more than 500 layers"),
        (changed(config=PART), image.MANIFEST_TYPE, "is not an image"),
    ],
)
async def test_a_manifest_that_could_be_misread_is_refused(
    hasty: Registries, body: bytes, media_type: str, message: str
) -> None:
    async with scripted(manifests(body, media_type)) as server:
        with pytest.raises(Damaged, match=message) as refused:
            await hasty.resolve(server.reference)
        assert len(str(refused.value)) < 400
        assert len(server.asked) == 1


async def test_a_manifest_of_more_than_four_megabytes_is_refused(hasty: Registries) -> None:
    large = changed(annotations={"x": "y" * (4 << 20)})
    async with scripted(manifests(large)) as server:
        with pytest.raises(Damaged, match="4194304 bytes"):
            await hasty.resolve(server.reference)


async def test_a_manifest_without_a_type_of_its_own_is_what_the_answer_says(
    hasty: Registries,
) -> None:
    plain = changed(mediaType="gone", annotations=None)
    for media_type in (image.MANIFEST_TYPE, DOCKER_MANIFEST):
        async with scripted(manifests(plain, f"{media_type}; charset=utf-8")) as server:
            found = (await hasty.resolve(server.reference)).manifest
            assert found == msgspec.structs.replace(MANIFEST, media_type=media_type)


def indexed(*entries: object, media_type: str = image.INDEX_TYPE) -> bytes:
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return msgspec.json.encode(document)


AMD = {"architecture": "amd64", "os": "linux"}


def entry(body: bytes = BODY, media_type: str = image.MANIFEST_TYPE, **changes: object) -> object:
    named = blob_of(body)
    plain = {"mediaType": media_type, "digest": named.digest, "size": named.size}
    return plain | {"platform": AMD} | changes


@pytest.mark.parametrize(
    ("index", "kind", "message"),
    [
        (indexed(entry(media_type=image.INDEX_TYPE)), Damaged, "index of indexes"),
        (indexed(entry(media_type=DOCKER_LIST)), Damaged, "index of indexes"),
        (indexed(entry(media_type="text/plain")), Damaged, "not an image"),
        (indexed(entry(size=1)), Damaged, "not what the index"),
        (indexed(entry(media_type=DOCKER_MANIFEST)), Damaged, "not what the index"),
        (indexed(entry(digest=BLOB.digest)), Damaged, "instead"),
        (indexed(), NotFound, "none that says its platform"),
        (indexed(entry(platform=None)), NotFound, "none that says"),
        (indexed(entry(platform=AMD | {"os": "\x1b[31mred"})), NotFound, "none that says"),
        (indexed(entry(platform=AMD | {"os": "x" * 9_000})), NotFound, "none that says"),
        (indexed(*[entry()] * 1_001), Damaged, "more than 1000 manifests"),
    ],
)
async def test_an_index_that_leads_elsewhere_is_refused(
    hasty: Registries, index: bytes, kind: type[Permanent], message: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/1"):
            return manifest_answer(index, image.INDEX_TYPE)
        return manifest_answer(BODY)

    async with scripted(answer) as server:
        with pytest.raises(kind, match=message):
            await hasty.resolve(server.reference)


async def test_an_old_list_of_docker_is_an_index(hasty: Registries) -> None:
    body = changed(mediaType=DOCKER_MANIFEST)
    listed = indexed(entry(body, DOCKER_MANIFEST), media_type=DOCKER_LIST)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/1"):
            return manifest_answer(listed, DOCKER_LIST)
        return manifest_answer(body, DOCKER_MANIFEST)

    async with scripted(answer) as server:
        found = await hasty.resolve(server.reference)
        assert found.reference.digest == blob_of(body).digest
        assert found.index_digest == blob_of(listed).digest
