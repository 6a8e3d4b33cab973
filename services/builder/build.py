"""Builds the images of one version: unpack, install, pack, and write it down.

Nothing here knows of leases or jobs. Building again what was built before is a few look-ups.
A person's mistake is raised as Invalid, blobs that are gone or damaged as Permanent, and what may
work later as Transient.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

import msgspec

from services.builder import image as images
from services.builder import layers, recipe, requirements
from services.builder.cache import Cache
from services.builder.claims import Built, Claim
from services.builder.image import Layer
from services.builder.install import Installer
from services.builder.logbook import Stream
from services.builder.recipe import Host
from services.builder.requirements import Asked
from services.builder.source import unpack
from services.builder.tidy import tidy
from shared.blobs import Blob, Blobs, digest_of
from shared.endpoint import Endpoint
from shared.errors import Invalid, Permanent, Transient, translate
from shared.image import CODE, PYTHON

Write = Callable[[str, Stream], None]


class Workshop(msgspec.Struct, frozen=True, kw_only=True):
    """What every build of this builder uses."""

    blobs: Blobs
    cache: Cache
    installer: Installer
    host: Host
    indexes: str  # identity of where packages come from
    runtime: Mapping[str, bytes]  # our own files in every image, by name


class Build:
    """One version in one folder of its own, which is gone afterwards."""

    def __init__(self, workshop: Workshop, held: Claim, folder: Path, write: Write) -> None:
        self._shop = workshop
        self._held = held
        self._definition = held.definition
        self._folder = folder
        self._write = write
        self._source: Path | None = None
        self._asked: Asked | None = None

    async def run(self) -> Built:
        built: dict[str, str] = {}
        notes: list[str] = []
        for endpoint in self._definition.endpoints:
            self._write(f"building endpoint {endpoint.name}", "platform")
            digest, known = await self._image(endpoint)
            built[endpoint.name] = digest
            said = recipe.note(endpoint, self._shop.host)
            if said is not None:
                notes.append(said)
                self._write(said, "platform")
            how = "built before" if known else "built"
            self._write(f"endpoint {endpoint.name}: image {digest} ({how})", "platform")
        return Built(images=built, notes=tuple(notes))

    async def _image(self, endpoint: Endpoint) -> tuple[str, bool]:
        """The image's digest, and whether it had been built before."""
        key = self._image_key(endpoint)
        found = await self._shop.cache.find(key)
        if found is not None and await images.is_whole(self._shop.blobs, found.digest):
            return found.digest, True
        container = recipe.container(endpoint)
        parts = await self._layers(endpoint)
        blob = await images.keep(
            self._shop.blobs, container, self._shop.host, parts, base=endpoint.image
        )
        return (await self._shop.cache.keep(key, blob)).digest, False

    def _image_key(self, endpoint: Endpoint) -> str:
        shop = self._shop
        own = {name: digest_of(body) for name, body in shop.runtime.items()}
        files = recipe.file_paths(endpoint, self._given(endpoint))
        source = self._definition.source
        return recipe.key("image", source, endpoint, files, shop.host, shop.indexes, own)

    def _given(self, endpoint: Endpoint) -> Mapping[str, str]:
        return self._definition.files.get(endpoint.name, {})

    async def _layers(self, endpoint: Endpoint) -> list[Layer]:
        code = await self._code(endpoint)  # first: installing may write into the source
        own = recipe.runtime_files(endpoint, self._shop.runtime)
        home = recipe.home_files(endpoint)
        parts = [
            Layer(role="python", blob=await self._python(endpoint, code)),
            Layer(role="runtime", blob=await self._small(own, {})),
            Layer(role="home", blob=await self._small(home, recipe.HOME_LINKS)),
            Layer(role="code", blob=code),
        ]
        files = await self._files(endpoint)
        return parts if files is None else [*parts, Layer(role="files", blob=files)]

    async def _small(self, files: Mapping[str, bytes], links: Mapping[str, str]) -> Blob:
        return await self._shop.blobs.put_bytes(b"".join(layers.small(files, links)))

    async def _code(self, endpoint: Endpoint) -> Blob:
        at = CODE[endpoint.format]
        key = recipe.code_key(self._definition.source, at)

        async def pack() -> AsyncIterable[bytes]:
            return layers.threaded(layers.folder(await self._unpacked(), at))

        return await self._shop.cache.layer(key, pack)

    async def _unpacked(self) -> Path:
        """The source in a folder, as it was sent."""
        if self._source is None:
            self._write("unpacking the source", "platform")
            into = self._folder / "source"
            await unpack(self._shop.blobs, self._definition.source, into)
            self._source = into
        return self._source

    async def _python(self, endpoint: Endpoint, code: Blob) -> Blob:
        source = await self._unpacked()
        if self._asked is None:
            self._asked = await asyncio.to_thread(requirements.read, source)
        asked = self._asked
        for package in endpoint.pip_packages:
            requirements.vet_package(package)
        names = asked.names | {requirements.vet_package(name) for name in endpoint.pip_packages}
        extra = recipe.packages(endpoint, names)
        tree = code.digest if asked.local else ""
        key = recipe.python_key(self._shop.host, asked.files, extra, self._shop.indexes, tree)

        async def make() -> AsyncIterable[bytes]:
            return await self._install(asked, extra)

        return await self._shop.cache.layer(key, make)

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
            failed = await self._shop.installer.install(
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
        given = self._given(endpoint)
        paths = recipe.file_paths(endpoint, given)
        if not paths:
            return None
        await self._check_places(endpoint)

        async def pack() -> AsyncIterable[bytes]:
            self._write(f"adding {len(paths)} file{'s' if len(paths) > 1 else ''}", "platform")
            return layers.streams(
                {
                    path: (await self._size(digest), self._shop.blobs.stream(digest))
                    for path, digest in paths.items()
                }
            )

        return await self._shop.cache.layer(recipe.files_key(paths), pack)

    async def _size(self, digest: str) -> int:
        size = await self._shop.blobs.size(digest)
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


@asynccontextmanager
async def workplace(parent: Path, name: str) -> AsyncIterator[Path]:
    """A folder for one build."""
    folder = parent / name
    with translate({OSError: Transient}):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, True))
