"""The layer of third-party packages, and what is in it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import msgspec

from services.builder import layers, pipconf, recipe, requirements
from services.builder import lock as locks
from services.builder import wanted as wants
from services.builder.artifacts.distributions import distributions
from services.builder.base.look import Package
from services.builder.cache import Cache
from services.builder.install import Installer
from services.builder.lock import Lock
from services.builder.logbook import Write
from services.builder.recipe import Host
from services.builder.requirements import Asked
from services.builder.source import Source
from services.builder.stages import Stages
from services.builder.wanted import Wanted
from shared.blobs import Blob, Blobs
from shared.endpoint import Endpoint
from shared.errors import Transient, translate
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
        wanted = await self._wanted(endpoint, host)
        asked = wanted.asked
        tree = code.digest if asked.local else ""
        key = recipe.python_key(self._project, host, asked.files, wanted.extra, self._indexes, tree)
        known = await self._cache.find(key)
        found = None if known is None else await self._known(known)
        if found is None:
            found = await self._install(wanted, key)
            kept = await self._blobs.put_bytes(msgspec.json.encode(found))
            await self._cache.keep(key, kept)
        return found

    async def private(self) -> frozenset[str]:
        """Files of the source that hold passwords for indexes: no image has them."""
        return (await self._read()).private

    async def _wanted(self, endpoint: Endpoint, host: Host) -> Wanted:
        asked = await self._read()
        names = asked.names | {requirements.vet_package(name) for name in endpoint.pip_packages}
        extra = recipe.packages(endpoint, names)
        added = frozenset(extra) - frozenset(endpoint.pip_packages)
        return Wanted(host=host, asked=asked, project=self._project, extra=extra, added=added)

    async def _known(self, blob: Blob) -> Installed | None:
        found = msgspec.json.decode(await self._blobs.read(blob.digest), type=Installed)
        there = await self._blobs.size(found.layer.digest) == found.layer.size
        return found if there else None

    async def _read(self) -> Asked:
        if self._asked is None:
            self._asked = await asyncio.to_thread(requirements.read, await self._source.unpacked())
        return self._asked

    async def _install(self, wanted: Wanted, key: str) -> Installed:
        into, scratch = self._folder / "python", self._folder / "scratch"
        for folder in (into, scratch):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            folder.mkdir()
        source = await (self._source.copied() if wanted.asked.local else self._source.unpacked())
        if wanted.asked.local and pipconf.NAME in wanted.asked.private:
            (source / pipconf.NAME).unlink()  # a package of the source might take it along
        for option in wanted.asked.unused:
            self._write(f"pip.conf: {option} has no effect here", "platform")
        async with self._stages.stage("lock"):
            locked, digest = await self._locked(wanted, recipe.key("lock", key), source, scratch)
        async with self._stages.stage("packages"):
            if wanted.shown:
                self._write(f"installing {wanted.shown}", "platform")
            folders = (source, scratch, into)
            await wants.install(self._installer, wanted, locked, folders, self._write)
            with translate({OSError: Transient}):
                found = await asyncio.to_thread(distributions, into)
        async with self._stages.stage("pack"):
            layer = await self._blobs.put(layers.threaded(layers.folder(into, PYTHON)))
        return Installed(layer=layer, lock=digest, distributions=found)

    async def _locked(
        self, wanted: Wanted, key: str, source: Path, scratch: Path
    ) -> tuple[Lock | None, str]:
        """The lock that was made first for this, whatever the indexes offer since; its digest."""
        known = await self._cache.find(key)
        if known is None:
            made = await wants.lock(self._installer, wanted, source, scratch, self._write)
            if made is None:
                return None, ""
            known = await self._cache.keep(key, await self._blobs.put_bytes(made.text.encode()))
        text = await self._blobs.read(known.digest)
        return locks.read(text.decode()), known.digest
