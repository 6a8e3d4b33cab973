"""Blobs that come wrong, break off, or are said to be kept and are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from shared.errors import Transient
from shared.registry import Damaged, Denied, Reference, Registries
from tests.shared.registry.made import (
    QUICK,
    blob_of,
    config_of,
    opened,
)
from tests.shared.registry.scripted import (
    BLOB,
    IMPATIENT,
    LAYER,
    MANIFEST,
    Answer,
    Uploads,
    always,
    dropped,
    failing,
    mount,
    name,
    scripted,
    soon,
)


def blobs(body: bytes, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(body)
        return response

    return answer


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (LAYER[:-1] + b"x", "answered something else"),
        (LAYER[:-1], "bytes long"),
        (LAYER + b"x", "longer than"),
        (b"", "bytes long"),
    ],
)
@pytest.mark.parametrize("sized", [True, False])
async def test_a_blob_that_is_not_the_right_one_is_refused(
    hasty: Registries, body: bytes, message: str, sized: bool
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async with scripted(answer if sized else blobs(body)) as server:
        with pytest.raises(Damaged, match=f"{message}|not of the size"):
            await hasty.read(server.reference, BLOB)
        assert len(server.asked) == 1


async def test_a_corrupted_config_is_refused(hasty: Registries) -> None:
    config = config_of(LAYER)
    async with scripted(blobs(config.replace(b"amd64", b"arm64"))) as server:
        with pytest.raises(Damaged):
            await hasty.read(server.reference, MANIFEST.config)


def cutting(at: int, *, ranges: bool, times: int) -> Answer:
    """Sends `at` bytes of what is left, and hangs up; in the end all of it."""
    left = [times]

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = request.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and ranges else 0
        rest = LAYER[start:]
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(rest)
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(LAYER) - 1}/{len(LAYER)}"
        await response.prepare(request)
        left[0] -= 1
        if left[0] < 0:
            await response.write(rest)
            return response
        await response.write(rest[:at])
        await asyncio.sleep(0.05)
        return await dropped(request)

    return answer


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_download_that_breaks_off_goes_on_where_it_was(
    hasty: Registries, ranges: bool
) -> None:
    async with scripted(cutting(30_000, ranges=ranges, times=2)) as server:
        assert await hasty.read(server.reference, BLOB) == LAYER
        begun = [request.headers.get("Range") for request in server.requests]
        after = "bytes=60000-" if ranges else "bytes=30000-"
        assert begun == [None, "bytes=30000-", after]


async def test_a_download_that_breaks_off_each_time_is_given_up(hasty: Registries) -> None:
    async with scripted(cutting(10, ranges=True, times=99)) as server:
        with pytest.raises(Transient):
            await hasty.read(server.reference, BLOB)
        assert len(server.asked) == QUICK.attempts


@pytest.mark.parametrize("begun", ["bytes 1-2/3", "", "bytes 0-99999/100000"])
async def test_another_part_than_was_asked_for_is_refused(hasty: Registries, begun: str) -> None:
    async def other(request: web.Request) -> web.StreamResponse:
        return web.Response(status=206, body=LAYER, headers={"Content-Range": begun})

    first = cutting(30_000, ranges=True, times=1)
    async with scripted(failing(1, first, other)) as server:
        with pytest.raises(Damaged, match="another part"):
            await hasty.read(server.reference, BLOB)


@pytest.mark.parametrize("how", ["cut", "forget", "hurry", "doubt"])
async def test_an_upload_that_breaks_off_begins_again(hasty: Registries, how: str) -> None:
    uploads = Uploads()
    uploads.put = failing(1, getattr(uploads, how), uploads.take)
    async with scripted(uploads.answer) as server:
        await hasty.push_blob(server.reference, BLOB, opened(LAYER[:5_000], LAYER[5_000:]))
    assert uploads.kept == {BLOB.digest: LAYER}


@pytest.mark.parametrize("how", ["cut", "forget", "hurry", "freeze"])
async def test_an_upload_that_never_succeeds_is_given_up(how: str) -> None:
    uploads = Uploads()
    uploads.put = getattr(uploads, how)
    large = bytes(16 << 20)  # more than any buffer in between
    async with (
        soon(),
        scripted(uploads.answer) as server,
        Registries.open(limits=IMPATIENT) as registries,
    ):
        with pytest.raises(Transient):
            await registries.push_blob(server.reference, blob_of(large), opened(large))
        times = 2 if how == "freeze" else QUICK.attempts
        assert server.asked.count("PUT /v2/team/app/blobs/uploads/1") == times


async def test_a_registry_that_keeps_something_else_is_not_believed(hasty: Registries) -> None:
    uploads = Uploads()
    uploads.promised = blob_of(b"other").digest
    async with scripted(uploads.answer) as server:
        with pytest.raises(Damaged, match="another digest"):
            await hasty.push_blob(server.reference, BLOB, opened(LAYER))
        assert len(uploads.kept) == 1


async def test_a_tag_for_something_else_is_not_believed(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        digest = blob_of(b"other").digest
        return web.Response(status=201, headers={"Docker-Content-Digest": digest})

    async with scripted(answer) as server:
        with pytest.raises(Damaged, match="another digest"):
            await name(hasty, server.reference)


async def test_a_mount_of_something_else_is_not_believed(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        digest = blob_of(b"other").digest
        return web.Response(status=201, headers={"Docker-Content-Digest": digest})

    async with scripted(answer) as server:
        with pytest.raises(Damaged):
            await mount(hasty, server.reference)


async def test_a_manifest_that_was_taken_and_is_not_there_is_an_error(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=201 if request.method == "PUT" else 404)

    async with scripted(answer) as server:
        with pytest.raises(Damaged, match="does not have it"):
            await name(hasty, server.reference)


async def test_an_upload_that_moves_may_take_its_time() -> None:
    uploads = Uploads()

    async def slowly() -> AsyncIterator[bytes]:
        for start in range(0, len(LAYER), 10_000):
            await asyncio.sleep(0.06)
            yield LAYER[start : start + 10_000]

    async with (
        scripted(uploads.answer) as server,
        Registries.open(limits=IMPATIENT) as registries,
    ):
        await registries.push_blob(server.reference, BLOB, slowly)
    assert uploads.kept == {BLOB.digest: LAYER}


async def test_a_blob_is_carried_from_one_registry_to_another(hasty: Registries) -> None:
    """Trouble of either is told apart, and passes if it can."""
    uploads = Uploads()
    source = cutting(30_000, ranges=True, times=1)
    async with scripted(source) as here, scripted(uploads.answer) as there:
        origin = here.reference
        await hasty.push_blob(there.reference, BLOB, lambda: hasty.stream(origin, BLOB))
    assert uploads.kept == {BLOB.digest: LAYER}

    down = Reference("127.0.0.1:1", "team/app")
    async with scripted(uploads.answer) as there:
        with pytest.raises(Transient, match=r"127\.0\.0\.1:1 can't be reached"):
            await hasty.push_blob(there.reference, BLOB, lambda: hasty.stream(down, BLOB))
        assert len([line for line in there.asked if line.startswith("POST")]) == 1
        uploads.put = always(403)
        with pytest.raises(Denied, match=there.address):
            await hasty.push_blob(there.reference, BLOB, opened(LAYER))
