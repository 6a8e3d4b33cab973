"""Where images are pushed to: one repository for each project of a registry.

What was pushed is remembered, so a change of code costs one small layer, and nothing of the base is
carried anywhere: it is mounted from its own repository where that is in the same registry. Should
the registry have lost what we believe is there, it says so, and everything is pushed again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final
from weakref import WeakValueDictionary

from services.builder import image as images
from services.builder import place as places
from services.builder.artifacts.artifact import Artifact, manifest_of
from shared.blobs import Blob, Blobs, digest_of
from shared.image import MANIFEST_TYPE, Descriptor, Manifest
from shared.registry import Damaged, MissingBlobs, Reference, Registries

REMEMBERED: Final = 100_000  # blobs
AT_ONCE: Final = 4  # blobs on their way to one repository

Open = Callable[[], AsyncIterable[bytes]]


class Depot:
    """`place` is `host[:port]/prefix`."""

    def __init__(self, registries: Registries, blobs: Blobs, place: str) -> None:
        self._registries = registries
        self._blobs = blobs
        self._place = places.read(place)
        # of each project its own: a base that comes slowly holds up nobody else
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._there: OrderedDict[tuple[str, str], None] = OrderedDict()

    def repository(self, project: str) -> Reference:
        """Of a project, `owner/name`."""
        return self._place.repository(project)

    async def holds(self, into: Reference, image: str) -> bool:
        """Whether the registry has the image's manifest, and so all of the image."""
        return await self._registries.has(into, image, "manifest")

    async def push(self, into: Reference, image: Blob, base: Reference | None) -> None:
        """Push an image of the blob store by its digest.

        `base` is where the layers that are not ours are. Repeating it pushes what is missing.
        """
        if self._knows(into, image.digest):
            if await self.holds(into, image.digest):
                return
            self._forget(into)
        body = await self._blobs.read(image.digest)
        manifest = await images.read(self._blobs, image.digest)
        try:
            await self._push(into, manifest, body, base)
        except MissingBlobs:  # somebody threw away what we pushed
            self._forget(into)
            await self._push(into, manifest, body, base)
        self._remember(into, image.digest)

    async def attach(self, into: Reference, image: Blob, said: Sequence[Artifact]) -> None:
        """Have a pushed image referred to by what is said about it."""
        subject = Descriptor(media_type=MANIFEST_TYPE, digest=image.digest, size=image.size)
        made = [(artifact, *manifest_of(artifact, subject)) for artifact in said]
        digests = {digest_of(body) for _, _, body in made}
        known = all(self._knows(into, digest) for digest in digests)
        if known and await self._attached(into, image.digest, digests):
            return
        try:
            await self._attach(into, subject, made)
        except MissingBlobs:  # as above
            self._forget(into)
            await self._attach(into, subject, made)
        for digest in digests:
            self._remember(into, digest)

    async def _attached(self, into: Reference, image: str, said: Collection[str]) -> bool:
        """Whether the registry has all that is said about the image, and lists it."""
        listed: set[str] = set()
        there: set[str] = set()

        async def look() -> None:
            with suppress(Damaged):  # then it is to be listed once more
                found = await self._registries.referrers(into, image)
                listed.update(one.digest for one in found)

        async def ask(digest: str) -> None:
            if await self.holds(into, digest):
                there.add(digest)

        await together(look(), *(ask(digest) for digest in said))
        return there & listed == set(said)

    async def _attach(
        self, into: Reference, subject: Descriptor, made: Sequence[tuple[Artifact, bytes, bytes]]
    ) -> None:
        contents = {content for artifact, config, _ in made for content in (config, artifact.body)}
        await together(*(self._bytes(into, content) for content in sorted(contents)))

        async def listed() -> None:
            await self._registries.attach(into, subject, *(body for _, _, body in made))

        await together(
            listed(), *(self._tag(into, body, artifact.tag) for artifact, _, body in made)
        )

    async def tag(self, into: Reference, image: str, tag: str) -> None:
        """Give a pushed image a name, for people and for garbage collection."""
        await self._tag(into, await self._blobs.read(image), tag)

    async def _push(
        self, into: Reference, manifest: Manifest, body: bytes, base: Reference | None
    ) -> None:
        ours = images.ours(manifest)
        parts = {part.digest: part for part in (manifest.config, *ours)}
        under = {part.digest: part for part in manifest.layers if part not in ours}
        await together(
            *(self._ours(into, part) for part in parts.values()),
            *(self._bases(into, part, base) for part in under.values() if base is not None),
        )
        await self._registries.push_manifest(into, body, MANIFEST_TYPE)

    async def _tag(self, into: Reference, body: bytes, tag: str) -> None:
        if tag:
            await self._registries.push_manifest(into, body, MANIFEST_TYPE, tag)

    async def _bytes(self, into: Reference, content: bytes) -> None:
        await self._ours(into, await self._blobs.put_bytes(content))

    async def _ours(self, into: Reference, part: Blob | Descriptor) -> None:
        await self._blob(into, part, lambda: self._blobs.stream(part.digest), "")

    async def _bases(self, into: Reference, part: Descriptor, base: Reference) -> None:
        beside = base.repository if base.registry == into.registry else ""
        await self._blob(into, part, lambda: self._registries.stream(base, part), beside)

    async def _blob(
        self, into: Reference, part: Blob | Descriptor, open: Open, mount_from: str
    ) -> None:
        if self._knows(into, part.digest):
            return
        places = self._places.setdefault(into.name, asyncio.Semaphore(AT_ONCE))
        async with places:
            await self._registries.push_blob(into, part, open, mount_from)
        self._remember(into, part.digest)

    def _knows(self, into: Reference, digest: str) -> bool:
        return (into.name, digest) in self._there

    def _remember(self, into: Reference, digest: str) -> None:
        self._there[into.name, digest] = None
        if len(self._there) > REMEMBERED:
            self._there.popitem(last=False)

    def _forget(self, into: Reference) -> None:
        for known in [known for known in self._there if known[0] == into.name]:
            del self._there[known]


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """All of them at once; the first that fails ends the others, and is what is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
