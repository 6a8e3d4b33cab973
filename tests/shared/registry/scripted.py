"""A registry of our own that does what a test tells it to, and everything that can be asked of one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from shared import image
from shared.registry import Reference, Registries
from tests.shared.registry.made import (
    QUICK,
    blob_of,
    manifest_of,
    opened,
)

IMPATIENT = msgspec.structs.replace(QUICK, request=0.3, silence=0.3)

LAYER = b"layer" * 20_000
BLOB = blob_of(LAYER)
MANIFEST = manifest_of(LAYER)
BODY = msgspec.json.encode(MANIFEST)


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Scripted:
    """What a registry does with each request, and what it was asked: `GET /v2/app/tags/list`."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[str] = []
        self.requests: list[web.Request] = []
        self.peers: set[object] = set()  # connections
        self.address = ""
        self.answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        self.requests.append(request)
        self.peers.add(request.get_extra_info("peername"))
        return await self.answer(request)

    @property
    def reference(self) -> Reference:
        return Reference(self.address, "team/app", "1")


@asynccontextmanager
async def scripted(
    answer: Answer, *, tls: tuple[Path, Path] | None = None
) -> AsyncIterator[Scripted]:
    """With a certificate and its key as `tls` it speaks TLS."""
    registry = Scripted(answer)
    runner = web.ServerRunner(web.Server(registry.handle), shutdown_timeout=0.1)
    await runner.setup()
    context = None
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    registry.address = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield registry
    finally:
        await runner.cleanup()


def manifest_answer(body: bytes, media_type: str = image.MANIFEST_TYPE) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": media_type})


def error_answer(status: int, code: str, **headers: str) -> web.Response:
    return web.json_response(
        {"errors": [{"code": code, "message": "no"}]},
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


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
