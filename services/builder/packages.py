"""The layer of third-party packages, and what is in it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import msgspec

from services.builder import layers, recipe, requirements
from services.builder.artifacts.distributions import distributions
from services.builder.cache import Cache
from services.builder.install import Installer
from services.builder.logbook import Write
from services.builder.look import Package
from services.builder.recipe import Host
from services.builder.requirements import Asked
from services.builder.source import Source
from services.builder.stages import Stages
from services.builder.tidy import tidy
from shared.blobs import Blob, Blobs
from shared.endpoint import Endpoint
from shared.errors import Invalid, Transient, translate
from shared.image import PYTHON


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of packages that was made once."""

    layer: Blob
    lock: str = ""  # digest of the requirements with hashes that it was made from
    distributions: tuple[Package, ...] = ()


class Packages:
    def __init__(
        self,
        blobs: Blobs,
        cache: Cache,
        installer: Installer,
        indexes: str,
        source: Source,
        project: str,
        folder: Path,
        write: Write,
        stages: Stages,
    ) -> None:
        self._blobs = blobs
        self._cache = cache
        self._installer = installer
        self._indexes = indexes
        self._source = source
        self._project = project
        self._folder = folder
        self._write = write
        self._stages = stages
        self._asked: Asked | None = None

    async def installed(self, endpoint: Endpoint, host: Host, code: Blob) -> Installed:
        """`code` is the layer of the source, which requirements may point into."""
        asked = await self._read()
        for package in endpoint.pip_packages:
            requirements.vet_package(package)
        names = asked.names | {requirements.vet_package(name) for name in endpoint.pip_packages}
        extra = recipe.packages(endpoint, names)
        tree = code.digest if asked.local else ""
        key = recipe.python_key(self._project, host, asked.files, extra, self._indexes, tree)
        known = await self._cache.find(key)
        found = None if known is None else await self._known(known)
        if found is None:
            found = await self._install(asked, extra)
            kept = await self._blobs.put_bytes(msgspec.json.encode(found))
            await self._cache.keep(key, kept)
        return found

    async def _known(self, blob: Blob) -> Installed | None:
        found = msgspec.json.decode(await self._blobs.read(blob.digest), type=Installed)
        there = await self._blobs.size(found.layer.digest) == found.layer.size
        return found if there else None

    async def _read(self) -> Asked:
        if self._asked is None:
            self._asked = await asyncio.to_thread(requirements.read, await self._source.unpacked())
        return self._asked

    async def _install(self, asked: Asked, extra: tuple[str, ...]) -> Installed:
        into, scratch = self._folder / "python", self._folder / "scratch"
        for folder in (into, scratch):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            folder.mkdir()
        async with self._stages.stage("packages"):
            await self._fill(asked, extra, into, scratch)
            with translate({OSError: Transient}):
                await asyncio.to_thread(tidy, into)
                found = await asyncio.to_thread(distributions, into)
        async with self._stages.stage("pack"):
            layer = await self._blobs.put(layers.threaded(layers.folder(into, PYTHON)))
        return Installed(layer=layer, distributions=found)

    async def _fill(self, asked: Asked, extra: tuple[str, ...], into: Path, scratch: Path) -> None:
        arguments = (*(("-r", asked.name) if asked.name else ()), *extra)
        if not arguments:
            return
        shown = " and ".join(filter(None, (asked.name, *extra)))
        self._write(f"installing {shown}", "platform")
        source = await (self._source.copied() if asked.local else self._source.unpacked())
        failed = await self._installer.install(source, scratch, into, arguments, self._write)
        if failed is not None:
            raise Invalid("", f"installing {shown} failed: {failed}")
