"""The layers of one version, each made once and found again by what it was made from.

They are asked for endpoint by endpoint; what two endpoints share is made once.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from services.builder import layers, recipe
from services.builder.base.bases import Base
from services.builder.cache import Cache
from services.builder.claims import Claim
from services.builder.engines import Engine
from services.builder.here import Here
from services.builder.image import Layer
from services.builder.inside import Changed, Inside
from services.builder.logbook import Write
from services.builder.plan import Plan, plan
from services.builder.python.install import Installer
from services.builder.python.packages import Installed, Packages
from services.builder.python.request import Request
from services.builder.python.wheels.wheels import Wheels
from services.builder.recipe import Host
from services.builder.source import Source
from services.builder.stages import Stages
from shared.blobs import Blob, Blobs
from shared.endpoint import Endpoint, Model
from shared.errors import Invalid, Permanent, Transient, translate
from shared.image import CODE, USER

OWNED: Final = USER  # by the server: what it may write to
NOTHING: Final = Plan(request=Request())
FORGOTTEN: Final = "requirements.txt"
FUNCTION: Final = "func_main"  # the module that the platform's own model server imports


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What every version's layers are made with."""

    blobs: Blobs
    cache: Cache
    installer: Installer
    indexes: str  # identity of where packages come from
    runtime: Mapping[str, bytes]  # our own files in every image, by name
    engine: Engine | None = None


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Our layers of one image, the lowest first, and what was installed in them."""

    layers: tuple[Layer, ...]
    packages: Installed
    changed: Changed = Changed()


class Parts:
    """`folder` is this version's own, and is gone afterwards."""

    def __init__(
        self, tools: Tools, held: Claim, folder: Path, write: Write, stages: Stages
    ) -> None:
        self._tools = tools
        self._held = held
        self._write = write
        self._stages = stages
        self._source = Source(tools.blobs, held.definition.source, folder, write, stages)
        self._inside = Inside(
            tools.blobs, tools.cache, tools.engine, held.project, folder, write, stages
        )
        self._here = Here(
            tools.blobs,
            tools.cache,
            tools.installer,
            self._source,
            held.project,
            folder,
            write,
            stages,
        )
        wheels = Wheels(
            tools.blobs,
            tools.cache,
            tools.engine,
            tools.installer,
            tools.indexes,
            self._inside,
            held.project,
            folder,
            write,
            stages,
        )
        self._packages = Packages(
            tools.blobs,
            tools.cache,
            tools.installer,
            tools.indexes,
            self._source,
            held.project,
            folder,
            write,
            stages,
            wheels,
        )

    async def made(self, endpoint: Endpoint, host: Host, base: Base | None) -> Made:
        """What changes least lies lowest."""
        await self._check_function(endpoint)
        look = None if base is None else base.look
        todo = plan(endpoint, look, engine=self._tools.engine is not None)
        private = await self._packages.private(todo.request)
        if todo == NOTHING and (await self._source.unpacked() / FORGOTTEN).exists():
            self._write(f"{FORGOTTEN} is installed by an install-command alone", "platform")
        code = await self._code(endpoint, private)  # first: installing may write into the source
        packages = await self._packages.installed(endpoint, host, code, base, todo.request)
        if base is None and todo.request is not None and todo.shell:
            left = await self._here.left(endpoint, todo, host, packages.layer, code, private)
            code = left.code
            packages = msgspec.structs.replace(
                packages, layer=left.python, distributions=left.distributions
            )
        own = recipe.runtime_files(endpoint, self._tools.runtime, self._held.deployment)
        home = recipe.home_files(endpoint)
        parts = [
            Layer(role="python", blob=packages.layer),
            Layer(role="runtime", blob=await self._small(own, recipe.runtime_links(host))),
            Layer(role="home", blob=await self._small(home, recipe.HOME_LINKS, owner=OWNED)),
            Layer(role="code", blob=code),
        ]
        changed = Changed()
        if base is not None:
            changed = await self._inside.changed(
                msgspec.structs.replace(endpoint, install=todo.lines),
                base,
                (packages.layer, code),
                todo.environment,
                await self._hidden(endpoint, todo, private),
            )
        if changed.layer is not None:  # lines may change the code, packages are there before it
            at = len(parts) if todo.lines else 0
            parts.insert(at, Layer(role="install", blob=changed.layer))
        files = await self._files(endpoint)
        if files is not None:
            parts.append(Layer(role="files", blob=files))
        return Made(layers=tuple(parts), packages=packages, changed=changed)

    async def _check_function(self, endpoint: Endpoint) -> None:
        """Raises Invalid where nothing is there to be called, unless lines may yet make it."""
        if not isinstance(endpoint.entry, Model) or endpoint.entry.server != "platform":
            return
        source = await self._source.unpacked()
        with translate({OSError: Transient}):
            places = (source / "src", source)
            if endpoint.install or any([*place.glob(f"{FUNCTION}*")] for place in places):
                return
            there = sorted(path.name for path in source.iterdir())
        raise Invalid(
            "payload",
            f"has no src/{FUNCTION}.py, which this runtime calls; it has: "
            f"{', '.join(there[:10]) or 'nothing'}",
        )

    async def _hidden(
        self, endpoint: Endpoint, todo: Plan, private: Iterable[str]
    ) -> dict[str, bytes]:
        """What a model's own lines read that its image does not have, by absolute path."""
        if todo.request is None or not todo.shell:
            return {}
        source = await self._source.unpacked()
        with translate({OSError: Transient}):
            return {
                f"{CODE[endpoint.format]}/{name}": (source / name).read_bytes()
                for name in sorted(private)
            }

    def given(self, endpoint: Endpoint) -> Mapping[str, str]:
        """Digests of the files that were given for an endpoint, by absolute path."""
        return recipe.file_paths(endpoint, self._held.definition.files.get(endpoint.name, {}))

    async def _small(
        self, files: Mapping[str, bytes], links: Mapping[str, str], *, owner: int = 0
    ) -> Blob:
        return await self._tools.blobs.put_bytes(b"".join(layers.small(files, links, owner=owner)))

    async def _code(self, endpoint: Endpoint, private: frozenset[str]) -> Blob:
        at = CODE[endpoint.format]
        key = recipe.code_key(self._held.project, self._held.definition.source, at, private)
        source = await self._source.unpacked()

        async def pack() -> AsyncIterable[bytes]:
            return layers.threaded(layers.folder(source, at, owner=OWNED, without=private))

        async with self._stages.stage("pack"):
            return await self._tools.cache.layer(key, pack)

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
        source = await self._source.unpacked()
        for file in endpoint.files:
            for folder in [*PurePosixPath(file.path).parents][:-1]:
                place = source / folder
                if place.is_symlink() or (place.exists() and not place.is_dir()):
                    raise Invalid(f"files.{file.name}", f"{folder} is not a folder of the source")
            if (source / file.path).is_dir():
                raise Invalid(f"files.{file.name}", f"{file.path} is a folder of the source")
