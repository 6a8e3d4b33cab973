"""The layers of one version, each made once and found again by what it was made from.

They are asked for endpoint by endpoint; what two endpoints share is made once.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterable, Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from services.builder import layers, recipe, requirements
from services.builder.cache import Cache
from services.builder.claims import Claim
from services.builder.image import Layer
from services.builder.install import Installer
from services.builder.logbook import Stream
from services.builder.recipe import Host
from services.builder.requirements import Asked
from services.builder.source import unpack
from services.builder.stages import Stages
from services.builder.tidy import tidy
from shared.blobs import Blob, Blobs
from shared.endpoint import Endpoint
from shared.errors import Invalid, Permanent, Transient, translate
from shared.image import CODE, PYTHON, USER

Write = Callable[[str, Stream], None]

OWNED: Final = USER  # by the server: what it may write to


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What every version's layers are made with."""

    blobs: Blobs
    cache: Cache
    installer: Installer
    indexes: str  # identity of where packages come from
    runtime: Mapping[str, bytes]  # our own files in every image, by name


class Parts:
    """`folder` is this version's own, and is gone afterwards."""

    def __init__(
        self, tools: Tools, held: Claim, folder: Path, write: Write, stages: Stages
    ) -> None:
        self._tools = tools
        self._held = held
        self._folder = folder
        self._write = write
        self._stages = stages
        self._source: Path | None = None
        self._asked: Asked | None = None

    async def layers(self, endpoint: Endpoint, host: Host) -> list[Layer]:
        """Ours, the lowest first: what changes least lies lowest."""
        code = await self._code(endpoint)  # first: installing may write into the source
        own = recipe.runtime_files(endpoint, self._tools.runtime)
        home = recipe.home_files(endpoint)
        parts = [
            Layer(role="python", blob=await self._python(endpoint, host, code)),
            Layer(role="runtime", blob=await self._small(own, recipe.runtime_links(host))),
            Layer(role="home", blob=await self._small(home, recipe.HOME_LINKS, owner=OWNED)),
            Layer(role="code", blob=code),
        ]
        files = await self._files(endpoint)
        return parts if files is None else [*parts, Layer(role="files", blob=files)]

    def given(self, endpoint: Endpoint) -> Mapping[str, str]:
        """Digests of the files that were given for an endpoint, by absolute path."""
        return recipe.file_paths(endpoint, self._held.definition.files.get(endpoint.name, {}))

    async def _small(
        self, files: Mapping[str, bytes], links: Mapping[str, str], *, owner: int = 0
    ) -> Blob:
        return await self._tools.blobs.put_bytes(b"".join(layers.small(files, links, owner=owner)))

    async def _code(self, endpoint: Endpoint) -> Blob:
        at = CODE[endpoint.format]
        key = recipe.code_key(self._held.project, self._held.definition.source, at)
        source = await self._unpacked()

        async def pack() -> AsyncIterable[bytes]:
            return layers.threaded(layers.folder(source, at, owner=OWNED))

        async with self._stages.stage("pack"):
            return await self._tools.cache.layer(key, pack)

    async def _unpacked(self) -> Path:
        """The source in a folder, as it was sent."""
        if self._source is None:
            self._write("unpacking the source", "platform")
            into = self._folder / "source"
            async with self._stages.stage("source"):
                await unpack(self._tools.blobs, self._held.definition.source, into)
            self._source = into
        return self._source

    async def _python(self, endpoint: Endpoint, host: Host, code: Blob) -> Blob:
        source = await self._unpacked()
        if self._asked is None:
            self._asked = await asyncio.to_thread(requirements.read, source)
        asked = self._asked
        for package in endpoint.pip_packages:
            requirements.vet_package(package)
        names = asked.names | {requirements.vet_package(name) for name in endpoint.pip_packages}
        extra = recipe.packages(endpoint, names)
        tree = code.digest if asked.local else ""
        project, indexes = self._held.project, self._tools.indexes
        key = recipe.python_key(project, host, asked.files, extra, indexes, tree)

        async def make() -> AsyncIterable[bytes]:
            return await self._install(asked, extra)

        async with self._stages.stage("packages"):
            return await self._tools.cache.layer(key, make)

    async def _install(self, asked: Asked, extra: tuple[str, ...]) -> AsyncIterable[bytes]:
        into, scratch = self._folder / "python", self._folder / "scratch"
        for folder in (into, scratch):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            folder.mkdir()
        arguments = (*(("-r", asked.name) if asked.name else ()), *extra)
        if arguments:
            shown = " and ".join(filter(None, (asked.name, *extra)))
            self._write(f"installing {shown}", "platform")
            source = await (self._copied() if asked.local else self._unpacked())
            failed = await self._tools.installer.install(
                source, scratch, into, arguments, self._write
            )
            if failed is not None:
                raise Invalid("", f"installing {shown} failed: {failed}")
        with translate({OSError: Transient}):
            await asyncio.to_thread(tidy, into)
        return layers.threaded(layers.folder(into, PYTHON))

    async def _copied(self) -> Path:
        """A copy of the source in which an installation may do as it likes."""
        copy = self._folder / "installing"
        with translate({OSError: Transient, shutil.Error: Transient}):
            await asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True)
            await asyncio.to_thread(shutil.copytree, await self._unpacked(), copy, symlinks=True)
        return copy

    async def _files(self, endpoint: Endpoint) -> Blob | None:
        paths = self.given(endpoint)
        if not paths:
            return None
        await self._check_places(endpoint)

        async def pack() -> AsyncIterable[bytes]:
            self._write(f"adding {len(paths)} file{'s' if len(paths) > 1 else ''}", "platform")
            return layers.streams(
                {
                    path: (await self._size(digest), self._tools.blobs.stream(digest))
                    for path, digest in paths.items()
                },
                owner=OWNED,
            )

        async with self._stages.stage("pack"):
            return await self._tools.cache.layer(recipe.files_key(self._held.project, paths), pack)

    async def _size(self, digest: str) -> int:
        size = await self._tools.blobs.size(digest)
        if size is None:
            raise Permanent(f"the uploaded file {digest} is gone")
        return size

    async def _check_places(self, endpoint: Endpoint) -> None:
        """A file may stand in for one of the source, not go through one or through a link."""
        source = await self._unpacked()
        for file in endpoint.files:
            for folder in [*PurePosixPath(file.path).parents][:-1]:
                place = source / folder
                if place.is_symlink() or (place.exists() and not place.is_dir()):
                    raise Invalid(f"files.{file.name}", f"{folder} is not a folder of the source")
            if (source / file.path).is_dir():
                raise Invalid(f"files.{file.name}", f"{file.path} is a folder of the source")
