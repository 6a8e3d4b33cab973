"""What is said about an image, in a registry without the referrers API and in one with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from shared import image
from shared.errors import Permanent, Transient
from shared.registry import Damaged, MissingBlobs, Reference, Registries
from tests.beds.registry import registry
from tests.shared.registry.made import (
    EMPTY,
    artifact_of,
    blob_of,
    described,
    manifest_of,
    opened,
    push,
)
from tests.shared.registry.scripted import manifest_answer, scripted

KINDS = ["application/x-signature", "application/x-provenance", "application/x-inventory"]


async def subject_in(registries: Registries, app: Reference) -> image.Descriptor:
    _, subject = await push(registries, app, b"layer")
    await registries.push_blob(app, blob_of(EMPTY), opened(EMPTY))
    return subject


async def test_what_was_attached_is_listed_with_its_type(
    registries: Registries, app: Reference
) -> None:
    subject = await subject_in(registries, app)
    assert await registries.referrers(app, subject.digest) == ()
    bodies = [artifact_of(subject, kind) for kind in KINDS]
    attached = await registries.attach(app, subject, *bodies)
    assert await registries.referrers(app, subject.digest) == attached
    assert [one.artifact_type for one in attached] == KINDS
    assert await registries.referrers(app, subject.digest, KINDS[1]) == attached[1:2]
    found = await registries.manifest(app, attached[1].digest)
    assert found.body == bodies[1]
    assert found.manifest.subject == subject


async def test_attaching_again_changes_nothing(registries: Registries, app: Reference) -> None:
    subject = await subject_in(registries, app)
    body = artifact_of(subject)
    attached = await registries.attach(app, subject, body)
    assert await registries.attach(app, subject, body) == attached
    assert await registries.referrers(app, subject.digest) == attached


async def test_those_who_attach_at_a_time_all_stay_listed(
    registries: Registries, app: Reference
) -> None:
    subject = await subject_in(registries, app)
    bodies = [artifact_of(subject, f"application/x-{number}") for number in range(12)]
    await asyncio.gather(*(registries.attach(app, subject, body) for body in bodies))
    listed = {one.digest for one in await registries.referrers(app, subject.digest)}
    assert listed == {blob_of(body).digest for body in bodies}


async def test_the_list_of_another_process_is_added_to(tmp_path: Path) -> None:
    async with registry(tmp_path) as address:
        app = Reference(address, "team/app")
        async with Registries.open() as ours, Registries.open() as theirs:
            subject = await subject_in(ours, app)
            await theirs.attach(app, subject, artifact_of(subject, "application/x-theirs"))
            await ours.attach(app, subject, artifact_of(subject, "application/x-ours"))
            kinds = {one.artifact_type for one in await theirs.referrers(app, subject.digest)}
    assert kinds == {"application/x-theirs", "application/x-ours"}


async def test_what_is_attached_must_be_about_its_subject(
    registries: Registries, app: Reference
) -> None:
    subject = await subject_in(registries, app)
    other = described(b"other", image.MANIFEST_TYPE)
    for body in (artifact_of(other), msgspec.json.encode(manifest_of(b"x")), b"{}"):
        with pytest.raises(Permanent):
            await registries.attach(app, subject, body)
    assert await registries.referrers(app, subject.digest) == ()


async def test_what_is_attached_needs_its_blobs(registries: Registries, app: Reference) -> None:
    _, subject = await push(registries, app, b"layer")
    with pytest.raises(MissingBlobs):
        await registries.attach(app, subject, artifact_of(subject))


async def test_a_list_that_is_an_image_is_not_overwritten(
    registries: Registries, app: Reference
) -> None:
    subject = await subject_in(registries, app)
    tag = subject.digest.replace(":", "-")
    _, other = await push(registries, app, b"other", tag=tag)
    with pytest.raises(Damaged, match="not a list"):
        await registries.attach(app, subject, artifact_of(subject))
    with pytest.raises(Damaged, match="not a list"):
        await registries.referrers(app, subject.digest)
    assert (await registries.resolve(app.tagged(tag))).reference.digest == other.digest


async def test_what_is_attached_goes_with_its_image_and_nothing_else_does(
    registries: Registries, app: Reference
) -> None:
    subject = await subject_in(registries, app)
    _, other = await push(registries, app, b"other", tag="other")
    (about_other,) = await registries.attach(app, other, artifact_of(other))
    attached = await registries.attach(
        app, subject, *[artifact_of(subject, kind) for kind in KINDS]
    )
    # somebody writes an image that is in use into the list
    index = image.Index(
        schema_version=2, media_type=image.INDEX_TYPE, manifests=(*attached, other, about_other)
    )
    listed = subject.digest.replace(":", "-")
    await registries.push_manifest(app, msgspec.json.encode(index), image.INDEX_TYPE, listed)
    for _ in range(2):
        await registries.delete(app, subject.digest)
        gone = [subject.digest, *(one.digest for one in attached)]
        assert not any([await registries.has(app, digest, "manifest") for digest in gone])
        assert set(await registries.tags(app)) == {"other", other.digest.replace(":", "-")}
        assert await registries.referrers(app, other.digest) == (about_other,)
        assert (await registries.resolve(app.tagged("other"))).reference.digest == other.digest


async def test_what_is_no_list_stays_when_an_image_goes(
    registries: Registries, app: Reference
) -> None:
    subject = await subject_in(registries, app)
    tag = subject.digest.replace(":", "-")
    _, other = await push(registries, app, b"other", tag=tag)
    await registries.delete(app, subject.digest)
    assert not await registries.has(app, subject.digest, "manifest")
    assert (await registries.resolve(app.tagged(tag))).reference.digest == other.digest


SUBJECT = described(b"subject", image.MANIFEST_TYPE)


class Listing:
    """A registry with the API, which gives its list in pages of one."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "PUT":
            body = await request.read()
            self.kept[blob_of(body).digest] = body
            headers = {"OCI-Subject": SUBJECT.digest, "Docker-Content-Digest": blob_of(body).digest}
            return web.Response(status=201, headers=headers)
        if "/referrers/" in request.path:
            return self._page(request)
        return web.Response(status=404)

    def _page(self, request: web.Request) -> web.Response:
        start = int(request.query.get("start", "0"))
        bodies = list(self.kept.values())
        kinds = [msgspec.json.decode(body, type=image.Manifest).artifact_type for body in bodies]
        entries = [
            msgspec.structs.replace(described(body, image.MANIFEST_TYPE), artifact_type=kind)
            for body, kind in zip(bodies, kinds, strict=True)
        ]
        index = image.Index(
            schema_version=2,
            media_type=image.INDEX_TYPE,
            manifests=tuple(entries[start : start + 1]),
        )
        answered = manifest_answer(msgspec.json.encode(index), image.INDEX_TYPE)
        if start + 1 < len(entries):
            answered.headers["Link"] = f'<{request.path}?start={start + 1}>; rel="next"'
        return answered


async def test_a_registry_with_the_api_keeps_the_list_itself(hasty: Registries) -> None:
    listing = Listing()
    bodies = [artifact_of(SUBJECT, kind) for kind in KINDS]
    async with scripted(listing.answer) as server:
        attached = await hasty.attach(server.reference, SUBJECT, *bodies)
        assert await hasty.referrers(server.reference, SUBJECT.digest) == attached
        assert await hasty.referrers(server.reference, SUBJECT.digest, KINDS[2]) == attached[2:]
    assert not [asked for asked in server.asked if "sha256-" in asked]


async def test_a_registry_without_the_api_is_not_asked_for_it_each_time(hasty: Registries) -> None:
    async def without(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404, text="404 page not found")

    async with scripted(without) as server:
        for _ in range(3):
            assert await hasty.referrers(server.reference, SUBJECT.digest) == ()
    assert len([asked for asked in server.asked if "/referrers/" in asked]) == 1


async def test_a_list_that_others_keep_changing_is_passing_trouble(hasty: Registries) -> None:
    async def forgetful(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404) if request.method == "GET" else await kept(request)

    async def kept(request: web.Request) -> web.StreamResponse:
        digest = blob_of(await request.read()).digest
        return web.Response(status=201, headers={"Docker-Content-Digest": digest})

    async with scripted(forgetful) as server:
        with pytest.raises(Transient, match="keep changing"):
            await hasty.attach(server.reference, SUBJECT, artifact_of(SUBJECT))
    assert len(server.asked) < 20
