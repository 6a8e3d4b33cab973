"""Builds the images of one version: what they stand on, their layers, and where they are kept.

Nothing here knows of leases or jobs. Building again what was built before is a few look-ups.
A person's mistake is raised as Invalid, blobs that are gone or damaged as Permanent, and what may
work later as Transient.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from services.builder import image as images
from services.builder import recipe
from services.builder.claims import Built, Claim
from services.builder.logbook import Write
from services.builder.metrics import BuilderTelemetry
from services.builder.parts import Parts, Tools
from services.builder.recipe import Host
from services.builder.stages import Limits, Stages
from shared.blobs import digest_of
from shared.endpoint import Endpoint
from shared.errors import Transient, translate
from shared.image import BASE_NAME, Record


class Workshop(msgspec.Struct, frozen=True, kw_only=True):
    """What every build of this builder uses."""

    tools: Tools
    host: Host
    limits: Limits = Limits()
    telemetry: BuilderTelemetry | None = None


class Build:
    """One version in one folder of its own, which is gone afterwards."""

    def __init__(self, workshop: Workshop, held: Claim, folder: Path, write: Write) -> None:
        self._shop = workshop
        self._tools = workshop.tools
        self._held = held
        self._write = write
        self._stages = Stages(write, workshop.limits, workshop.telemetry)
        self._parts = Parts(workshop.tools, held, folder, write, self._stages)

    async def run(self) -> Built:
        built: dict[str, str] = {}
        record: dict[str, Record] = {}
        notes: list[str] = []
        for endpoint in self._held.definition.endpoints:
            self._write(f"building endpoint {endpoint.name}", "platform")
            digest, known = await self._image(endpoint)
            built[endpoint.name] = digest
            record[endpoint.name] = Record(python=self._shop.host.python)
            said = recipe.note(endpoint, self._shop.host)
            if said is not None:
                notes.append(said)
                self._write(said, "platform")
            how = "built before" if known else "built"
            self._write(f"endpoint {endpoint.name}: image {digest} ({how})", "platform")
        return Built(images=built, notes=tuple(notes), record=record)

    async def _image(self, endpoint: Endpoint) -> tuple[str, bool]:
        """The image's digest, and whether it had been built before."""
        key, host = self._image_key(endpoint), self._shop.host
        found = await self._tools.cache.find(key)
        if found is not None and await images.is_whole(self._tools.blobs, found.digest):
            return found.digest, True
        blob = await images.keep(
            self._tools.blobs,
            recipe.container(endpoint, host),
            host,
            (await self._parts.made(endpoint, host)).layers,
            annotations={BASE_NAME: endpoint.image} if endpoint.image else {},
        )
        return (await self._tools.cache.keep(key, blob)).digest, False

    def _image_key(self, endpoint: Endpoint) -> str:
        own = {name: digest_of(body) for name, body in self._tools.runtime.items()}
        files = self._parts.given(endpoint)
        source, project = self._held.definition.source, self._held.project
        where = (self._shop.host, self._tools.indexes, own)
        return recipe.key("image", project, source, endpoint, files, *where)


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
