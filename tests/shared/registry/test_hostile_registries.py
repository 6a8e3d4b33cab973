"""Registries that are slow, broken, lying or out to get us. Each case ends soon, with our error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from shared import image
from shared.blobs import Blob
from shared.errors import Permanent, PlatformError, Transient
from shared.registry import Damaged, NotFound, Reference, Registries
from tests.shared.registry.made import (
    QUICK,
    Answer,
    Scripted,
    blob_of,
    config_of,
    described,
    error_answer,
    manifest_answer,
    manifest_of,
    opened,
    scripted,
)

IMPATIENT = msgspec.structs.replace(QUICK, request=0.3, silence=0.3)

LAYER = b"layer" * 20_000
BLOB = blob_of(LAYER)
MANIFEST = manifest_of(LAYER)
BODY = msgspec.json.encode(MANIFEST)

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def always(status: int, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return error_answer(status, "TOOMANYREQUESTS", **headers)

    return answer


def manifests(body: bytes, media_type: str = image.MANIFEST_TYPE, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        answered = manifest_answer(body, media_type)
        answered.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        return answered

    return answer


def failing(times: int, how: Answer, then: Answer) -> Answer:
    """The first `times` go wrong."""
    left = [times]

    async def answer(request: web.Request) -> web.StreamResponse:
        left[0] -= 1
        return await (how if left[0] >= 0 else then)(request)

    return answer


async def dropped(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def stalled(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def read(registries: Registries, place: Reference) -> None:
    await registries.resolve(place)


async def fetch(registries: Registries, place: Reference) -> None:
    await registries.read(place, BLOB)


async def send(registries: Registries, place: Reference) -> None:
    await registries.push_blob(place, BLOB, opened(LAYER))


async def mount(registries: Registries, place: Reference) -> None:
    await registries.push_blob(place, BLOB, opened(LAYER), mount_from="team/base")


async def name(registries: Registries, place: Reference) -> None:
    await registries.push_manifest(place, BODY, image.MANIFEST_TYPE, "1")


async def list_tags(registries: Registries, place: Reference) -> None:
    await registries.tags(place)


async def refer(registries: Registries, place: Reference) -> None:
    await registries.referrers(place, BLOB.digest)


async def remove(registries: Registries, place: Reference) -> None:
    await registries.delete(place, BLOB.digest)


Call = Callable[[Registries, Reference], Awaitable[None]]
CALLS = [read, fetch, send, mount, name, list_tags, refer, remove]


@asynccontextmanager
async def soon() -> AsyncIterator[None]:
    async with asyncio.timeout(25):
        yield


@pytest.mark.parametrize("call", CALLS)
async def test_a_registry_that_is_down_is_passing_trouble(hasty: Registries, call: Call) -> None:
    with pytest.raises(Transient, match="can't be reached"):
        await call(hasty, Reference("127.0.0.1:1", "team/app", "1"))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("how", [dropped, always(503), always(500), always(429)])
async def test_trouble_is_passed_on_after_a_few_attempts(
    hasty: Registries, call: Call, how: Answer
) -> None:
    async with scripted(how) as server:
        with pytest.raises(Transient):
            await call(hasty, server.reference)
        assert 2 <= len(server.asked) <= QUICK.attempts


async def refused(call: Call, registries: Registries, server: Scripted) -> None:
    with pytest.raises(PlatformError):
        await call(registries, server.reference)


async def test_a_registry_that_stands_still_holds_nobody() -> None:
    async with (
        soon(),
        scripted(stalled) as server,
        Registries.open(limits=IMPATIENT) as registries,
    ):
        answers = [call(registries, server.reference) for call in CALLS]
        for ended in await asyncio.gather(*answers, return_exceptions=True):
            assert isinstance(ended, Transient)


async def test_an_answer_without_end_is_cut_off() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            status=200, headers={"Content-Type": image.MANIFEST_TYPE, "Location": "/there"}
        )
        await response.prepare(request)
        while True:
            await response.write(b" " * (1 << 16))

    async with (
        soon(),
        scripted(endless) as server,
        Registries.open(limits=IMPATIENT) as registries,
    ):
        await asyncio.gather(*(refused(call, registries, server) for call in CALLS))


@pytest.mark.parametrize("status", [200, 404])
async def test_an_answer_that_drips_is_given_up(status: int) -> None:
    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": image.INDEX_TYPE})
        await response.prepare(request)
        while True:
            await response.write(b"{")
            await asyncio.sleep(0.1)

    slow = msgspec.structs.replace(IMPATIENT, operation=2.0, slowest=1 << 20)
    async with (
        soon(),
        scripted(dripping) as server,
        Registries.open(limits=slow) as registries,
    ):
        await asyncio.gather(*(refused(call, registries, server) for call in CALLS))


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("how", [dropped, always(503), always(429, Retry_After="0")])
async def test_trouble_that_passes_is_not_seen(hasty: Registries, how: Answer, times: int) -> None:
    async with scripted(failing(times, how, manifests(BODY))) as server:
        assert (await hasty.resolve(server.reference)).manifest == MANIFEST
        assert len(server.asked) == times + 1


@pytest.mark.parametrize(
    "asked",
    ["3600", "99999999999999999999", "Fri, 31 Dec 2199 23:59:59 GMT", "-1", "soon", "0x10", "٣"],
)
async def test_a_registry_does_not_decide_how_long_we_wait(hasty: Registries, asked: str) -> None:
    async with soon(), scripted(failing(1, always(429, Retry_After=asked), manifests(BODY))) as it:
        assert (await hasty.resolve(it.reference)).manifest == MANIFEST


@pytest.mark.parametrize("status", [400, 404, 405, 410, 413, 418, 501])
async def test_a_refusal_is_final_at_once(hasty: Registries, status: int) -> None:
    async with scripted(always(status)) as server:
        with pytest.raises(Permanent):
            await hasty.resolve(server.reference)
        assert len(server.asked) == 1


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


class Uploads:
    """A registry that takes blobs, and can be told to do it badly."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.put: Answer = self.take
        self.location = "/v2/team/app/blobs/uploads/1"
        self.promised = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": self.location})
        if request.method == "PUT":
            return await self.put(request)
        return web.Response(status=404)

    async def take(self, request: web.Request) -> web.StreamResponse:
        digest = request.query["digest"]
        self.kept[digest] = await request.read()
        headers = {"Docker-Content-Digest": self.promised or digest}
        return web.Response(status=201, headers=headers)

    async def cut(self, request: web.Request) -> web.StreamResponse:
        await request.content.readexactly(1_000)
        return await dropped(request)

    async def forget(self, request: web.Request) -> web.StreamResponse:
        async for _ in request.content.iter_any():
            pass
        return error_answer(404, "BLOB_UPLOAD_UNKNOWN")

    async def hurry(self, request: web.Request) -> web.StreamResponse:
        return error_answer(429, "TOOMANYREQUESTS")

    async def freeze(self, request: web.Request) -> web.StreamResponse:
        await request.content.readexactly(1_000)
        return await stalled(request)

    async def doubt(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        return error_answer(400, "DIGEST_INVALID")


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
        assert server.asked.count("PUT /v2/team/app/blobs/uploads/1") == QUICK.attempts


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


ELSEWHERE = [
    "http://127.0.0.1:1/x",
    "http://registry.example/x",
    "https://10.0.0.1/x",
    "https://169.254.169.254/latest",
    "https://[fd00::1]/x",
    "https://[::ffff:10.0.0.1]/x",
    "https://[64:ff9b::a00:1]/x",
    "https://100.64.0.1/x",
    "https://2130706433/x",
    "https://localhost/x",
    "https://user:password@127.0.0.1/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1/x",
    "",
    "http://[",
]


@pytest.mark.parametrize("location", ELSEWHERE)
async def test_a_registry_can_not_send_us_into_the_network_that_we_run_in(
    hasty: Registries, location: str
) -> None:
    async def sent_on(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": location})

    async with scripted(sent_on) as server:
        with pytest.raises(Permanent):
            await hasty.read(server.reference, BLOB)
        assert len(server.asked) == 1
    uploads = Uploads()
    uploads.location = location
    async with scripted(uploads.answer) as server:
        with pytest.raises(Permanent):
            await hasty.push_blob(server.reference, BLOB, opened(LAYER))
        assert not [asked for asked in server.asked if asked.startswith("PUT")]


async def test_content_may_be_elsewhere_in_the_registry(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/storage/x":
            return web.Response(body=LAYER)
        return web.Response(status=307, headers={"Location": "/storage/x?sig=a%2Fb"})

    async with scripted(answer) as server:
        assert await hasty.read(server.reference, BLOB) == LAYER
        assert server.requests[1].raw_path == "/storage/x?sig=a%2Fb"


async def test_a_circle_is_left(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": request.path + "x"})

    async with scripted(answer) as server:
        with pytest.raises(Permanent, match="without end"):
            await hasty.read(server.reference, BLOB)
        assert len(server.asked) < 8


async def test_only_content_is_fetched_elsewhere(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/there"})

    async with scripted(answer) as server:
        for call in (mount, name, remove):
            with pytest.raises(Permanent):
                await call(hasty, server.reference)
        assert "/there" not in " ".join(server.asked)


async def test_a_place_that_should_speak_tls_and_does_not_is_refused(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=307, headers={"Location": f"https://{request.headers['Host']}/x"}
        )

    async with scripted(answer) as server:
        with pytest.raises(Permanent, match="does not speak TLS"):
            await hasty.read(server.reference, BLOB)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"\x00" * 100_000,
    ],
)
@pytest.mark.parametrize("call", [read, fetch, send])
async def test_what_is_not_http_ends_soon(hasty: Registries, call: Call, said: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with soon(), await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PlatformError):
            await call(hasty, Reference(f"127.0.0.1:{port}", "team/app", "1"))


async def test_lists_without_end_are_left(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        page = int(request.query.get("page", "0")) + 1
        link = {"Link": f'<{request.path}?page={page}>; rel="next"'}
        if "referrers" in request.path:
            return web.Response(body=indexed(), headers=link | {"Content-Type": image.INDEX_TYPE})
        return web.json_response({"tags": [f"tag{page}", "bad tag", "-x"]}, headers=link)

    async with scripted(answer) as server:
        for call in (list_tags, refer):
            with pytest.raises(Damaged, match="no end"):
                await call(hasty, server.reference)
        assert len(server.asked) == 2 * QUICK.pages


@pytest.mark.parametrize(
    "link", ["https://10.0.0.1/x", "http://127.0.0.1:1/x", "//other.example/x", "http://["]
)
async def test_the_rest_of_a_list_is_at_the_same_registry(hasty: Registries, link: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"tags": ["1"]}, headers={"Link": f'<{link}>; rel="next"'})

    async with scripted(answer) as server:
        with pytest.raises(Damaged, match="elsewhere"):
            await hasty.tags(server.reference)


async def test_tags_come_in_pages_and_those_that_are_none_are_left_out(hasty: Registries) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "last" in request.query:
            return web.json_response({"tags": ["b", "../c", "d e", "f\n"]})
        link = {"Link": '</v2/team/app/tags/list?n=1000&last=a>; rel="next"'}
        return web.json_response({"tags": ["a"]}, headers=link)

    async with scripted(answer) as server:
        assert await hasty.tags(server.reference) == ("a", "b")


async def test_a_waiting_caller_can_leave(hasty: Registries) -> None:
    async with scripted(stalled) as server:
        for call in CALLS:
            waiting = asyncio.ensure_future(call(hasty, server.reference))
            await asyncio.sleep(0.02)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting


async def test_a_slow_reader_is_not_taken_for_a_slow_registry() -> None:
    large = bytes(8 << 20)
    blob = Blob(digest=blob_of(large).digest, size=len(large))
    quick = msgspec.structs.replace(QUICK, silence=0.2, operation=0.5, slowest=1 << 30)

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=large)

    async with scripted(answer) as server, Registries.open(limits=quick) as registries:
        chunks = registries.stream(server.reference, blob)
        size = len(await anext(chunks))
        await asyncio.sleep(0.7)
        async for chunk in chunks:
            size += len(chunk)
        assert size == len(large)
        assert len(server.asked) == 1
