"""Writes an image's config and manifest into the blob store, and a whole image as an OCI layout.

An image is complete when its manifest is there, because everything that it names was kept before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.builder.recipe import Host
from shared import image
from shared.blobs import Blob, Blobs
from shared.errors import Permanent

LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
REF_NAME: Final = "org.opencontainers.image.ref.name"


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    role: str  # see shared.image.LAYER_ROLE
    blob: Blob


class Under(msgspec.Struct, frozen=True, kw_only=True):
    """What an image has from its base, which stays where it is."""

    layers: tuple[image.Descriptor, ...] = ()
    diff_ids: tuple[str, ...] = ()
    history: tuple[image.History, ...] = ()


ON_NOTHING: Final = Under()
LAYERS: Final = {"tar": "tar", "tar.gzip": "tar+gzip", "tar.zstd": "tar+zstd"}  # Docker's -> OCI's


def under(manifest: image.Manifest, config: image.Config) -> Under:
    """A base's layers in OCI's words, whatever others said about them."""
    layers = (
        image.Descriptor(media_type=_layer_type(layer), digest=layer.digest, size=layer.size)
        for layer in manifest.layers
    )
    return Under(layers=tuple(layers), diff_ids=config.rootfs.diff_ids, history=_history(config))


def _history(config: image.Config) -> tuple[image.History, ...]:
    """One entry for each layer of a base, whatever its maker left out."""
    told = sum(not entry.empty_layer for entry in config.history)
    if told == len(config.rootfs.diff_ids):
        return config.history
    return (image.History(created_by="base"),) * len(config.rootfs.diff_ids)


def _layer_type(layer: image.Descriptor) -> str:
    _, docker, packing = layer.media_type.partition("docker.image.rootfs.diff.")
    return image.LAYER_TYPE.removesuffix("tar") + LAYERS[packing] if docker else layer.media_type


def config_of(
    container: image.ContainerConfig, host: Host, under: Under, layers: Sequence[Layer]
) -> image.Config:
    # a layer of ours is not compressed, so it is its own content
    ours = tuple(layer.blob.digest for layer in layers)
    return image.Config(
        architecture=host.architecture,
        os=host.os,
        config=container,
        rootfs=image.RootFs(diff_ids=under.diff_ids + ours),
        history=(
            *under.history,
            *(
                image.History(created=image.EPOCH, created_by=f"slipway {layer.role}")
                for layer in layers
            ),
        ),
    )


def manifest_of(
    config: Blob, under: Under, layers: Sequence[Layer], annotations: Mapping[str, str]
) -> image.Manifest:
    ours = (
        _descriptor(image.LAYER_TYPE, layer.blob, {image.LAYER_ROLE: layer.role})
        for layer in layers
    )
    return image.Manifest(
        schema_version=2,
        media_type=image.MANIFEST_TYPE,
        config=_descriptor(image.CONFIG_TYPE, config),
        layers=(*under.layers, *ours),
        annotations=dict(annotations),
    )


def _descriptor(
    media_type: str, blob: Blob, annotations: Mapping[str, str] | None = None
) -> image.Descriptor:
    return image.Descriptor(
        media_type=media_type,
        digest=blob.digest,
        size=blob.size,
        annotations=dict(annotations or {}),
    )


async def keep(
    blobs: Blobs,
    container: image.ContainerConfig,
    host: Host,
    layers: Sequence[Layer],
    *,
    under: Under = ON_NOTHING,
    annotations: Mapping[str, str] | None = None,
) -> Blob:
    """Keep the image; its manifest's blob. Keeping it again gives the same."""
    config = await blobs.put_bytes(_json(config_of(container, host, under, layers)))
    manifest = manifest_of(config, under, layers, annotations or {})
    return await blobs.put_bytes(_json(manifest))


def _json(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value, order="sorted")


async def read(blobs: Blobs, digest: str) -> image.Manifest:
    """Raises Permanent when it is missing, damaged or no manifest."""
    try:
        return msgspec.json.decode(await blobs.read(digest), type=image.Manifest)
    except msgspec.DecodeError as error:
        raise Permanent(f"image {digest} has no readable manifest") from error


def ours(manifest: image.Manifest) -> tuple[image.Descriptor, ...]:
    """The layers that are not its base's."""
    return tuple(layer for layer in manifest.layers if image.LAYER_ROLE in layer.annotations)


async def is_whole(blobs: Blobs, digest: str) -> bool:
    """Whether all of it that is ours is in the store, by size."""
    if await blobs.size(digest) is None:
        return False
    manifest = await read(blobs, digest)
    for part in (manifest.config, *ours(manifest)):
        if await blobs.size(part.digest) != part.size:
            return False
    return True


async def export(blobs: Blobs, digest: str, folder: Path, *, name: str = "latest") -> None:
    """Write the image as an OCI image layout, which other tools read, into `folder`.

    See https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md.
    """
    manifest = await read(blobs, digest)
    places = folder / "blobs" / "sha256"
    places.mkdir(parents=True, exist_ok=True)
    for part in {digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)}:
        with (places / part.removeprefix("sha256:")).open("wb") as file:
            async for chunk in blobs.stream(part):
                file.write(chunk)
    size = await blobs.size(digest) or 0
    found = image.Descriptor(
        media_type=image.MANIFEST_TYPE, digest=digest, size=size, annotations={REF_NAME: name}
    )
    index = {"schemaVersion": 2, "mediaType": image.INDEX_TYPE, "manifests": [found]}
    (folder / "index.json").write_bytes(msgspec.json.encode(index, order="sorted"))
    (folder / "oci-layout").write_bytes(LAYOUT)
