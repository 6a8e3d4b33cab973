"""What the container target needs to be real: an engine, a registry, and a base image with Python."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from services.scheduler.driver import Replica
from services.scheduler.drivers.container import spec
from services.scheduler.drivers.container.open import ID
from shared.blobs import Blobs
from shared.image import MANIFEST_TYPE, Config, Manifest
from shared.registry import Reference, Registries, parse
from tests.beds.bases import bases
from tests.beds.podman import Podman, podman
from tests.beds.registry import registry
from tests.scheduler.images import Base

BASE: Final = "python:3.11"
LINKS: Final = {"/slipway/bin/python": "/usr/bin/python3"}


class Bed:
    def __init__(self, engine: Podman | None, registry: str, base: Base) -> None:
        """Without an `engine` it is only good for pushing."""
        self.engine = engine
        self.registry = registry
        self.base = base

    def name(self, home: Path, replica: Replica) -> str:
        """Of a replica's container."""
        return spec.name((home / ID).read_text(), replica)

    @property
    def url(self) -> str:
        assert self.engine is not None
        return self.engine.url

    async def run(self, *command: str) -> str:
        """With the engine's own command line."""
        assert self.engine is not None
        return await asyncio.to_thread(self.engine.run, *command)

    async def inside(self, home: Path, replica: Replica, *command: str) -> str:
        return await self.run("exec", self.name(home, replica), *command)

    async def container(self, home: Path, replica: Replica) -> Any:
        """What the engine has on it."""
        return json.loads(await self.run("inspect", self.name(home, replica)))[0]

    async def push(self, blobs: Blobs, image: str) -> str:
        """Put an image into the registry; the repository that has it."""
        repository = Reference(self.registry, "tests/app")
        body = await blobs.read(image)
        manifest = msgspec.json.decode(body, type=Manifest)
        theirs = {layer.digest for layer in self.base.layers}
        async with Registries.open() as registries:
            for part in (manifest.config, *manifest.layers):
                source = "python" if part.digest in theirs else ""
                opened = partial(blobs.stream, part.digest)
                await registries.push_blob(repository, part, opened, source)
            await registries.push_manifest(repository, body, MANIFEST_TYPE)
        return repository.name


@asynccontextmanager
async def made(folder: Path) -> AsyncIterator[Bed]:
    async with registry(folder / "registry") as address:
        base = await based(address)
        async with podman(folder / "podman", registries=[address]) as engine:
            yield Bed(engine, address, base)


async def based(address: str) -> Base:
    await bases(address, BASE)
    async with Registries.open() as registries:
        found = await registries.resolve(parse(BASE, address))
        content = await registries.read(found.reference, found.manifest.config)
    config = msgspec.json.decode(content, type=Config)
    return Base(found.manifest.layers, config.rootfs.diff_ids, LINKS)
