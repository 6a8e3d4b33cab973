"""Small images."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable

import msgspec

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
