"""The layer of third-party packages, and what is in it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import msgspec

from services.builder import layers, recipe
from services.builder.artifacts.distributions import distributions
from services.builder.base.bases import Base
from services.builder.base.look import Package
from services.builder.cache import Cache
from services.builder.logbook import Write
from services.builder.python import lock as locks
from services.builder.python import requirements
from services.builder.python import wanted as wants
from services.builder.python.install import Installer
from services.builder.python.lock import Lock
from services.builder.python.reason import masked
from services.builder.python.request import Request
from services.builder.python.requirements import Asked
from services.builder.python.wanted import NoWheel, Wanted
from services.builder.python.wheels.wheels import Job, Wheels
from services.builder.recipe import Host
from services.builder.source import Source
from services.builder.stages import Stages
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
        wheels: Wheels,
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
        self._wheels = wheels
        self._asked: dict[Request | None, Asked] = {}

    async def installed(
        self,
        endpoint: Endpoint,
        host: Host,
        code: Blob,
        base: Base | None,
        request: Request | None = None,
    ) -> Installed:
        """`code` is the layer of the source, which requirements may point into.

        `request` is what is asked for where a source does not say so by itself.
        """
        wanted = await self._wanted(endpoint, host, request)
        asked = wanted.asked
        tree = code.digest if asked.local else ""
        extra = (*wanted.extra, *told(request))
        key = recipe.python_key(self._project, host, asked.files, extra, self._indexes, tree)
        found = await self._known(key)
        if found is not None:
            return found
        if base is None:
            return await self._install(wanted, key)
        job = Job(endpoint=endpoint, base=base, wanted=wanted, code=code)
        with_wheels = recipe.key("python", key, job.under)
        found = await self._known(with_wheels)
        if found is not None:
            return found
        try:
            return await self._install(wanted, key)
        except NoWheel as missing:
            return await self._install_built(job, with_wheels, missing)

    async def private(self, request: Request | None = None) -> frozenset[str]:
        """Files of the source that hold passwords for indexes: no image has them."""
        return (await self._read(request)).private

    async def _wanted(self, endpoint: Endpoint, host: Host, request: Request | None) -> Wanted:
        asked = await self._read(request)
        requested = () if request is None else request.packages
        own = (*requested, *endpoint.pip_packages)
        names = asked.names | {requirements.vet_package(name) for name in own}
        extra = (*requested, *recipe.packages(endpoint, names))
        added = frozenset(extra) - frozenset(own)
        return Wanted(host=host, asked=asked, project=self._project, extra=extra, added=added)

    async def _known(self, key: str) -> Installed | None:
        return await self._cache.known(key, Installed, self._is_whole)

    async def _is_whole(self, found: Installed) -> bool:
        return await self._cache.has(found.layer)

    async def _read(self, request: Request | None) -> Asked:
        if request not in self._asked:
            source = await self._source.unpacked()
            self._asked[request] = await asyncio.to_thread(requirements.read, source, request)
        return self._asked[request]

    async def _install(self, wanted: Wanted, key: str) -> Installed:
        source, scratch, into = await self._folders(wanted.asked)
        for option in wanted.asked.unused:
            self._write(f"pip.conf: {option} has no effect here", "platform")
        async with self._stages.stage("lock"):
            locked, digest = await self._locked(wanted, recipe.key("lock", key), source, scratch)
        async with self._stages.stage("packages"):
            await self._fill(wanted, locked, (source, scratch, into))
        return await self._packed(key, digest, into)

    async def _install_built(self, job: Job, key: str, missing: NoWheel) -> Installed:
        """With wheels that are built for the base, which make the layer this base's alone."""
        source, scratch, into = await self._folders(job.wanted.asked)
        locked, digest, wheels = await self._wheels.locked(
            job, source, recipe.key("wheels", key), missing
        )
        wanted = msgspec.structs.replace(job.wanted, wheels=wheels)
        async with self._stages.stage("packages"):
            await self._fill(wanted, locked, (source, scratch, into))
        return await self._packed(key, digest, into)

    async def _folders(self, asked: Asked) -> tuple[Path, Path, Path]:
        """The source, which is nobody else's where something of it is installed; two empty ones."""
        scratch, into = self._folder / "scratch", self._folder / "python"
        for folder in (scratch, into):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            folder.mkdir()
        source = await (self._source.copied() if asked.local else self._source.unpacked())
        if asked.local and asked.conf in asked.private:
            (source / asked.conf).unlink()  # a package of the source might take it along
        return source, scratch, into

    async def _fill(
        self, wanted: Wanted, locked: Lock | None, folders: tuple[Path, Path, Path]
    ) -> None:
        if wanted.shown:
            self._write(f"installing {wanted.shown}", "platform")
        await wants.install(self._installer, wanted, locked, folders, self._write)

    async def _packed(self, key: str, lock: str, into: Path) -> Installed:
        with translate({OSError: Transient}):
            found = await asyncio.to_thread(distributions, into)
        async with self._stages.stage("pack"):
            layer = await self._blobs.put(layers.threaded(layers.folder(into, PYTHON)))
        made = Installed(layer=layer, lock=lock, distributions=found)
        return await self._cache.agree(key, made, self._is_whole)

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


def told(request: Request | None) -> tuple[str, ...]:
    """All of a request but its passwords, for a key."""
    return () if request is None else (masked(msgspec.json.encode(request).decode()),)
