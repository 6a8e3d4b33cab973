"""The layer of what had to run inside the image: packages of its system, and its owner's lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from services.builder import recipe
from services.builder.artifacts.changes import over
from services.builder.base.bases import Base
from services.builder.base.look import Look
from services.builder.base.scan import Spent, scan
from services.builder.cache import Cache
from services.builder.engines import Engine, Step
from services.builder.layers import small, threaded
from services.builder.logbook import Write
from services.builder.python.reason import masked
from services.builder.stages import Stages
from shared.blobs import CHUNK, Blob, Blobs
from shared.endpoint import Endpoint
from shared.errors import Invalid, Transient, translate
from shared.image import CODE, USER

NONE: Final[Mapping[str, str]] = {}
NO_FILES: Final[Mapping[str, bytes]] = {}


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that was made once. `layer` is None when nothing changed."""

    layer: Blob | None = None
    look: Look = Look()  # what the step has installed
    left: Look | None = None  # of what was in the base; None: all of it


class Inside:
    def __init__(
        self,
        blobs: Blobs,
        cache: Cache,
        engine: Engine | None,
        project: str,
        folder: Path,
        write: Write,
        stages: Stages,
    ) -> None:
        self._blobs = blobs
        self._cache = cache
        self._engine = engine
        self._project = project
        self._folder = folder
        self._private = folder / "private.tar"
        self._write = write
        self._stages = stages

    async def changed(
        self,
        endpoint: Endpoint,
        base: Base,
        below: Sequence[Blob],
        environment: Mapping[str, str] = NONE,
        private: Mapping[str, bytes] = NO_FILES,
    ) -> Changed:
        """`below` are our layers that the owner's lines may read, the lowest first.

        They run with `environment`, and with `private` files that the image does not have.
        """
        if not needed(endpoint):
            return Changed()
        under = below if endpoint.install else ()
        asked: list[object] = [endpoint.apt_packages, endpoint.conda_packages, endpoint.install]
        layers = [blob.digest for blob in under]
        if environment:
            asked.append(dict(environment))
        if private:
            asked.append({path: masked(body.decode()) for path, body in private.items()})
        key = recipe.key("install", self._project, base.digest, *asked, layers)
        found = await self._cache.known(key, Changed, self._is_whole)
        if found is None:
            async with self._stages.stage("install"):
                made = await self._run(endpoint, base, under, environment, private)
            found = await self._cache.agree(key, made, self._is_whole)
        return found

    async def _is_whole(self, found: Changed) -> bool:
        return found.layer is None or await self._cache.has(found.layer)

    async def _run(
        self,
        endpoint: Endpoint,
        base: Base,
        under: Sequence[Blob],
        environment: Mapping[str, str],
        private: Mapping[str, bytes],
    ) -> Changed:
        if self._engine is None:
            raise Invalid(
                "install",
                "needs to run something inside the image, and this platform has no build engine; "
                "choose a base image that has it all, or ask the operator to set BUILD_ENGINE",
            )
        step = Step(
            base=str(base.reference),
            layers=(*await self.below(under), *self._beside(private)),
            lines=endpoint.install,
            apt=endpoint.apt_packages,
            conda=endpoint.conda_packages,
            env=dict(environment),
            cwd=CODE[endpoint.format] if under else "/",
        )
        made = await self._engine.run(step, self._folder, self._write)
        try:
            if not made.members:
                return Changed()
            layer = await self._blobs.put(read(made.path))
            left, added = await asyncio.to_thread(_look, made.path, base.look)
            return Changed(layer=layer, look=added, left=left)
        finally:
            made.path.unlink(missing_ok=True)
            self._private.unlink(missing_ok=True)

    def _beside(self, private: Mapping[str, bytes]) -> tuple[Path, ...]:
        """Files as a layer that lies under what a step changes, so the change has none of them."""
        if not private:
            return ()
        with translate({OSError: Transient}), self._private.open("wb") as file:
            file.writelines(small(private, owner=USER))
        return (self._private,)

    async def below(self, blobs: Sequence[Blob]) -> tuple[Path, ...]:
        """Layers as the files that a step takes."""
        return tuple([await self._file(blob, number) for number, blob in enumerate(blobs)])

    async def _file(self, blob: Blob, number: int) -> Path:
        path = self._folder / f"below-{number}.tar"
        with translate({OSError: Transient}), path.open("wb") as file:
            async for chunk in self._blobs.stream(blob.digest):
                file.write(chunk)
        return path


def needed(endpoint: Endpoint) -> bool:
    return bool(endpoint.apt_packages or endpoint.conda_packages or endpoint.install)


async def read(path: Path) -> AsyncIterator[bytes]:
    with translate({OSError: Transient}), path.open("rb") as file:
        async for chunk in threaded(_chunks(file)):
            yield chunk


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _look(path: Path, base: Look) -> tuple[Look, Look]:
    """What the layer leaves of its base, and what it adds."""
    with path.open("rb") as file:
        return over(base, scan(file, Spent()))
