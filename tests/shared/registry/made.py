"""Small images, and a registry of our own that does what a test tells it to."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

from shared import image
from shared.blobs import Blob
from shared.registry import Limits, Reference, Registries

QUICK = Limits(operation=8.0, request=1.0, silence=1.0, attempts=3, pause=0.005, longest_pause=0.05)

EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


def blob_of(content: bytes) -> Blob:
    return Blob(digest="sha256:" + hashlib.sha256(content).hexdigest(), size=len(content))


def described(content: bytes, media_type: str) -> image.Descriptor:
    blob = blob_of(content)
    return image.Descriptor(media_type=media_type, digest=blob.digest, size=blob.size)


def opened(*chunks: bytes) -> Callable[[], AsyncIterator[bytes]]:
    async def read() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return read


def config_of(*layers: bytes) -> bytes:
    config = image.Config(
        architecture="amd64",
        os="linux",
        config=image.ContainerConfig(entrypoint=("/bin/sh",)),
        rootfs=image.RootFs(diff_ids=tuple(blob_of(layer).digest for layer in layers)),
    )
    return msgspec.json.encode(config)


def manifest_of(*layers: bytes, **changes: object) -> image.Manifest:
    made = image.Manifest(
        schema_version=2,
        media_type=image.MANIFEST_TYPE,
        config=described(config_of(*layers), image.CONFIG_TYPE),
        layers=tuple(described(layer, image.LAYER_TYPE) for layer in layers),
    )
    return msgspec.structs.replace(made, **changes)


def artifact_of(subject: image.Descriptor, kind: str = "application/x-note") -> bytes:
    empty = described(EMPTY, EMPTY_TYPE)
    return msgspec.json.encode(
        image.Manifest(
            schema_version=2,
            media_type=image.MANIFEST_TYPE,
            config=empty,
            layers=(empty,),
            artifact_type=kind,
            subject=subject,
        )
    )


async def push(
    registries: Registries, repository: Reference, *layers: bytes, tag: str = ""
) -> tuple[image.Manifest, image.Descriptor]:
    """A whole image; its manifest and what names it."""
    for content in (config_of(*layers), *layers):
        await registries.push_blob(repository, blob_of(content), opened(content))
    manifest = manifest_of(*layers)
    body = msgspec.json.encode(manifest)
    digest = await registries.push_manifest(repository, body, image.MANIFEST_TYPE, tag)
    described_as = described(body, image.MANIFEST_TYPE)
    assert digest == described_as.digest
    return manifest, described_as


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
