"""Builds the images of one version: what they stand on, their layers, and where they are kept.

Nothing here knows of leases or jobs. Building again what was built before is a few look-ups.
A person's mistake is raised as Invalid, blobs that are gone or damaged as Permanent, and what may
work later as Transient.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from services.builder import image as images
from services.builder import recipe
from services.builder.artifacts.labels import config_labels, manifest_annotations
from services.builder.base.bases import Base, Bases
from services.builder.claims import Built, Claim
from services.builder.depot import Depot
from services.builder.ground import clear
from services.builder.inside import Changed
from services.builder.logbook import Write
from services.builder.metrics import BuilderTelemetry
from services.builder.parts import Parts, Tools
from services.builder.python.packages import Installed
from services.builder.recipe import Host
from services.builder.said import Said, said
from services.builder.stages import Limits, Stages
from shared import image
from shared.blobs import Blob, digest_of
from shared.endpoint import Endpoint, Model
from shared.errors import Permanent, Transient, translate
from shared.image import BaseRecord, Record
from shared.registry import Reference
from shared.signing import Signer

NOT_IN_TAGS: Final = re.compile(r"[^A-Za-z0-9_.-]+")
TAG: Final = 128  # characters


MODEL_BASE: Final = "python:3.11"


class Workshop(msgspec.Struct, frozen=True, kw_only=True):
    """What every build of this builder uses."""

    tools: Tools
    host: Host  # this machine
    bases: Bases
    model_base: str = MODEL_BASE  # the base image, or environment, of models that name none
    depot: Depot | None = None  # None: images stay in the blob store
    signer: Signer | None = None
    limits: Limits = Limits()
    telemetry: BuilderTelemetry | None = None


class Footing(msgspec.Struct, frozen=True, kw_only=True):
    """What an image stands on: a base, or the machine's own Python."""

    host: Host
    base: Base | None = None

    @property
    def record(self) -> BaseRecord | None:
        if self.base is None:
            return None
        return BaseRecord(name=self.base.name, reference=str(self.base.reference))


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An image that was made once."""

    image: Blob
    packages: Installed
    changed: Changed = Changed()


class Build:
    """One version in one folder of its own, which is gone afterwards."""

    def __init__(self, workshop: Workshop, held: Claim, folder: Path, write: Write) -> None:
        self._shop = workshop
        self._tools = workshop.tools
        self._held = held
        self._write = write
        self._stages = Stages(write, workshop.limits, workshop.telemetry)
        self._parts = Parts(workshop.tools, held, folder, write, self._stages)
        self._bases: dict[str, Base] = {}

    async def run(self) -> Built:
        built: dict[str, str] = {}
        record: dict[str, Record] = {}
        notes: list[str] = []
        into = self._repository()
        for endpoint in self._held.definition.endpoints:
            self._write(f"building endpoint {endpoint.name}", "platform")
            footing = await self._footing(endpoint)
            kept, known = await self._image(endpoint, footing)
            about = await self._said(endpoint, footing, kept, into)
            if into is not None:
                await self._push(into, kept, footing, about)
            built[endpoint.name] = kept.image.digest
            record[endpoint.name] = about.record
            note = None if footing.base else recipe.note(endpoint, footing.host)
            if note is not None:
                notes.append(note)
                self._write(note, "platform")
            how = "built before" if known else "built"
            self._write(f"endpoint {endpoint.name}: image {kept.image.digest} ({how})", "platform")
        await self._name(into, built)
        repository = "" if into is None else into.name
        return Built(images=built, notes=tuple(notes), repository=repository, record=record)

    def _repository(self) -> Reference | None:
        """Where the images are pushed to. None: a target of this machine reads the blob store."""
        if not image.has_base(self._held.target):
            return None
        if self._shop.depot is None:
            raise Permanent(
                f"images for the target {self._held.target} have to be in a registry, and this "
                "platform has none; its operator has to set REGISTRY"
            )
        return self._shop.depot.repository(self._held.project)

    async def _footing(self, endpoint: Endpoint) -> Footing:
        """A reference is resolved once for a version, whoever moves it meanwhile."""
        if not image.has_base(self._held.target):
            return Footing(host=self._shop.host)
        wanted = image.Platform(architecture=self._shop.host.architecture, os=self._shop.host.os)
        name = endpoint.image
        if not name and isinstance(endpoint.entry, Model):
            name = self._shop.model_base
        if name not in self._bases:
            owner, _, _ = self._held.project.partition("/")
            async with self._stages.stage("base"):
                found = await self._shop.bases.find(name, wanted, owner)
            self._write(f"base image {name} is {found.reference}", "platform")
            if found.look.no_python:
                self._write(f"it has no Python of use: {found.look.no_python}", "platform")
            self._bases[name] = found
        base = self._bases[name]
        return Footing(host=base.host, base=base)

    async def _image(self, endpoint: Endpoint, footing: Footing) -> tuple[Kept, bool]:
        """The image, and whether it had been built before."""
        key, cache, blobs = self._key(endpoint, footing), self._tools.cache, self._tools.blobs
        known = await cache.known(key, Kept, self._is_whole)
        if known is not None:
            return known, True
        base = footing.base
        container = recipe.container(  # first: it may be that nothing can start it
            endpoint,
            footing.host,
            base.config.config if base else None,
            config_labels(endpoint, footing.record),
        )
        made = await self._parts.made(endpoint, footing.host, base)
        manifest = await images.keep(
            blobs,
            container,
            footing.host,
            made.layers,
            under=images.under(base.manifest, base.config) if base else images.ON_NOTHING,
            annotations=manifest_annotations(endpoint, footing.record),
        )
        kept = Kept(image=manifest, packages=made.packages, changed=made.changed)
        return await cache.agree(key, kept, self._is_whole), False

    async def _is_whole(self, kept: Kept) -> bool:
        return await images.is_whole(self._tools.blobs, kept.image.digest)

    def _key(self, endpoint: Endpoint, footing: Footing) -> str:
        own = {name: digest_of(body) for name, body in self._tools.runtime.items()}
        return recipe.key(
            "image",
            self._held.project,
            self._held.definition.source,
            endpoint,
            self._parts.given(endpoint),
            footing.host,
            "" if footing.base is None else footing.base.digest,
            self._tools.indexes,
            own,
            *self._called(endpoint),
        )

    def _called(self, endpoint: Endpoint) -> tuple[str, ...]:
        """A model's name, which is in its image."""
        return (self._held.deployment,) if isinstance(endpoint.entry, Model) else ()

    async def _said(
        self, endpoint: Endpoint, footing: Footing, kept: Kept, into: Reference | None
    ) -> Said:
        """What is said about the image, which the blob store keeps as well."""
        found = said(
            self._held.definition,
            endpoint.name,
            image=kept.image.digest,
            repository="" if into is None else into.name,
            host=footing.host,
            base=footing.record,
            look=kept.changed.left or (footing.base.look if footing.base else None),
            packages=kept.packages,
            changed=kept.changed.look,
            signer=self._shop.signer,
        )
        for artifact in found.artifacts:
            await self._tools.blobs.put_bytes(artifact.body)
        return found

    async def _push(self, into: Reference, kept: Kept, footing: Footing, found: Said) -> None:
        depot = self._shop.depot
        assert depot is not None
        base = None if footing.base is None else footing.base.reference
        async with self._stages.stage("push"):
            await depot.push(into, kept.image, base)
        async with self._stages.stage("announce"):
            await depot.attach(into, kept.image, found.artifacts)

    async def _name(self, into: Reference | None, built: dict[str, str]) -> None:
        """Tags come last, when all is there that they name."""
        if into is None or self._shop.depot is None:
            return
        async with self._stages.stage("announce"):
            for endpoint, digest in built.items():
                await self._shop.depot.tag(into, digest, tag_of(self._held.id, endpoint))


def tag_of(version: str, endpoint: str) -> str:
    """The tag of an image, for people and for garbage collection.

    A name that is no tag is told apart from others that look like it.

    >>> tag_of("v7f3k", "greet"), tag_of("v7f3k", "classify images")
    ('v7f3k-greet', 'v7f3k-classify-images-6e8a157a')
    """
    name, mark = NOT_IN_TAGS.sub("-", endpoint), ""
    if name != endpoint:
        mark = "-" + digest_of(endpoint.encode()).removeprefix("sha256:")[:8]
    return f"{version}-{name}"[: TAG - len(mark)] + mark


@asynccontextmanager
async def workplace(parent: Path, name: str) -> AsyncIterator[Path]:
    """A folder for one build."""
    folder = parent / name
    with translate({OSError: Transient}):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        await asyncio.shield(asyncio.to_thread(clear, folder))
