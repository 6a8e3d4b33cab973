"""Puts one image together in a registry: the base's layers, the packages, the code."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import msgspec

from charts.images import packages, recipe
from charts.images.base import Base
from charts.images.recipe import Part
from services.builder import image as images
from services.builder import layers
from services.builder.image import Layer, under
from shared import image
from shared.blobs import CHUNK, Blob, digest_of
from shared.registry import Reference, Registries, are_one


class Made(msgspec.Struct, frozen=True, kw_only=True):
    part: Part
    reference: Reference  # with the tag that it was pushed under
    digest: str
    base: int  # bytes of the base's layers, as the registry has them
    ours: int  # bytes of those on top


class Maker:
    """Makes images for the same registry and version. `scratch` is an empty folder."""

    def __init__(self, registries: Registries, scratch: Path, *, revision: str = "") -> None:
        self._registries, self._scratch = registries, scratch
        self._revision, self._version = revision, recipe.version()

    async def make(self, part: Part, base: Base, repository: Reference) -> Made:
        """Push it, tagged with the platform's version. What is there already is not sent again."""
        ours = []
        if part.lock:
            folder = self._scratch / part.name
            await packages.install(recipe.ROOT / part.lock, base.host, folder)
            ours.append(self._kept("packages", layers.folder(folder, recipe.PACKAGES)))
        ours.append(self._kept("code", layers.small(recipe.code(part))))
        await self._push_base(base, repository)
        for layer in ours:
            await self._push(repository, layer.blob)
        digest = await self._push_manifest(part, base, ours, repository)
        return Made(
            part=part,
            reference=repository.tagged(self._version),
            digest=digest,
            base=sum(layer.size for layer in base.manifest.layers),
            ours=sum(layer.blob.size for layer in ours),
        )

    def _kept(self, role: str, chunks: Iterable[bytes]) -> Layer:
        """As a file in the scratch folder, by its digest."""
        hashed, size, incoming = hashlib.sha256(), 0, self._scratch / "incoming"
        with incoming.open("wb") as file:
            for chunk in chunks:
                hashed.update(chunk)
                size += file.write(chunk)
        blob = Blob(digest=f"sha256:{hashed.hexdigest()}", size=size)
        incoming.rename(self._file(blob.digest))
        return Layer(role=role, blob=blob)

    def _file(self, digest: str) -> Path:
        return self._scratch / digest.replace(":", "-")

    async def _push(self, repository: Reference, blob: Blob) -> None:
        file = self._file(blob.digest)
        await self._registries.push_blob(repository, blob, functools.partial(_read, file))

    async def _push_base(self, base: Base, repository: Reference) -> None:
        here = are_one(base.reference.registry, repository.registry)
        for layer in base.manifest.layers:
            await self._registries.push_blob(
                repository,
                layer,
                functools.partial(self._registries.stream, base.reference, layer),
                mount_from=base.reference.repository if here else "",
            )

    async def _push_manifest(
        self, part: Part, base: Base, ours: list[Layer], repository: Reference
    ) -> str:
        labels = recipe.labels(
            part, self._version, base.name, base.reference.digest, self._revision
        )
        container = image.ContainerConfig(
            entrypoint=(base.host.executable, *part.start),
            env=recipe.environment(part, base.config.config.env),
            working_dir=recipe.APP if part.lock else "/",
            labels=labels,
            user=recipe.USER,
        )
        body = _json(
            images.config_of(container, base.host, under(base.manifest, base.config), ours)
        )
        config = Blob(digest=digest_of(body), size=len(body))
        self._file(config.digest).write_bytes(body)
        await self._push(repository, config)
        manifest = images.manifest_of(config, under(base.manifest, base.config), ours, labels)
        return await self._registries.push_manifest(
            repository, _json(manifest), image.MANIFEST_TYPE, self._version
        )


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _json(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value, order="sorted")
