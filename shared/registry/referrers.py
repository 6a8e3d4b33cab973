"""What is said about an image: signatures, provenance, inventories, as manifests with a `subject`.

A registry with the referrers API lists them by itself. For one without, the specification has the
client keep the list, as an index under the tag `sha256-<hex>` of the subject; two who write it at a
time could lose one another's entries, so it is read again after it was written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from shared import image
from shared.errors import Permanent, Transient
from shared.registry import manifests
from shared.registry.errors import Damaged, NotFound
from shared.registry.manifests import INDEXES, digest_of
from shared.registry.pages import following
from shared.registry.pull import Pull, scopes
from shared.registry.push import Push
from shared.registry.reference import Reference
from shared.registry.session import Session

REGISTRIES: Final = 1_000
REMEMBERED: Final = 600.0  # seconds that a registry is known to lack the API
ROUNDS: Final = 5  # of writing a list that others write too


class Referrers:
    def __init__(self, session: Session, pull: Pull, push: Push) -> None:
        self._session = session
        self._pull = pull
        self._push = push
        self._lacking: dict[str, float] = {}  # registries without the API, until when
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def all(self, repository: Reference, digest: str) -> tuple[image.Descriptor, ...]:
        if self._lacking.get(repository.registry, 0.0) < time.monotonic():
            with_api = await self._listed(repository, digest)
            if with_api is not None:
                return with_api
            if len(self._lacking) >= REGISTRIES:
                self._lacking.clear()
            self._lacking[repository.registry] = time.monotonic() + REMEMBERED
        return await self._kept(_list_of(repository, digest))

    async def attach(
        self, repository: Reference, subject: image.Descriptor, bodies: Sequence[bytes]
    ) -> tuple[image.Descriptor, ...]:
        descriptors = tuple(_descriptor(repository, subject, body) for body in bodies)
        try:
            async with asyncio.TaskGroup() as group:
                answers = [
                    group.create_task(self._push.manifest(repository, body, kind.media_type, ""))
                    for kind, body in zip(descriptors, bodies, strict=True)
                ]
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        unlisted = [
            descriptor
            for descriptor, answer in zip(descriptors, answers, strict=True)
            if answer.result().headers.get("OCI-Subject", "") != subject.digest
        ]
        if unlisted:
            lock = self._locks.setdefault(str(repository.at(subject.digest)), asyncio.Lock())
            async with lock:
                await self._list(_list_of(repository, subject.digest), unlisted)
        return descriptors

    async def drop(self, repository: Reference, digest: str) -> None:
        """Remove what is said about a manifest, and the list of it."""
        with suppress(Damaged):  # then it is no list, and not ours to remove
            for referrer in await self.all(repository, digest):
                await self._drop_one(repository, referrer.digest, digest)
        with suppress(NotFound):
            listed = await self._pull.get(_list_of(repository, digest))
            if listed.media_type in INDEXES:
                await self._push.delete(repository, digest_of(listed.body))

    async def _drop_one(self, repository: Reference, referrer: str, digest: str) -> None:
        with suppress(NotFound, Damaged):
            found = await self._pull.manifest(repository.at(referrer))
            # a list may name what is about something else, and that is not to go
            if found.manifest.subject and found.manifest.subject.digest == digest:
                await self._push.delete(repository, referrer)

    async def _listed(
        self, repository: Reference, digest: str
    ) -> tuple[image.Descriptor, ...] | None:
        """As the API has it; None where there is none."""
        limits, found = self._session.limits, list[image.Descriptor]()
        what = repository.at(digest)
        url = self._session.url(repository, f"referrers/{digest}")
        for _ in range(limits.pages):
            answer = await self._session.ask(
                "GET",
                what,
                url,
                scopes=scopes(repository),
                headers={"Accept": image.INDEX_TYPE},
                fine=frozenset({200, 404, 405}),
                limit=limits.manifest,
            )
            if answer.status != 200:
                return None
            index = manifests.index(str(what), answer.media_type, answer.body, limits)
            found += index.manifests
            if len(found) > limits.entries:
                raise Damaged(f"{what} has more than {limits.entries} referrers")
            next_page = following(what, answer)
            if next_page is None:
                return tuple(found)
            url = next_page
        raise Damaged(f"{what}: the registry's list of referrers has no end")

    async def _kept(self, place: Reference) -> tuple[image.Descriptor, ...]:
        """As clients have kept it under its tag."""
        try:
            answer = await self._pull.get(place)
        except NotFound:
            return ()
        if answer.media_type not in INDEXES:
            raise Damaged(f"{place} is not a list of referrers")
        limits = self._session.limits
        return manifests.index(str(place), answer.media_type, answer.body, limits).manifests

    async def _list(self, place: Reference, wanted: Sequence[image.Descriptor]) -> None:
        for _ in range(ROUNDS):
            kept = await self._kept(place)
            digests = {descriptor.digest for descriptor in kept}
            lacking = [descriptor for descriptor in wanted if descriptor.digest not in digests]
            if not lacking:
                return
            index = image.Index(
                schema_version=2, media_type=image.INDEX_TYPE, manifests=(*kept, *lacking)
            )
            body = msgspec.json.encode(index, order="sorted")
            await self._push.manifest(place, body, image.INDEX_TYPE, place.tag)
        raise Transient(f"{place}: others keep changing this list; try again later")


def _list_of(repository: Reference, digest: str) -> Reference:
    return repository.tagged(digest.replace(":", "-"))


def _descriptor(repository: Reference, subject: image.Descriptor, body: bytes) -> image.Descriptor:
    """How a list names an artifact. Raises Permanent when it is not about `subject`."""
    try:
        manifest = msgspec.json.decode(body, type=image.Manifest)
    except msgspec.DecodeError as error:
        raise Permanent(f"{repository}: what is to be attached is no manifest") from error
    if manifest.subject is None or manifest.subject.digest != subject.digest:
        raise Permanent(f"{repository}: what is to be attached is not about {subject.digest}")
    return image.Descriptor(
        media_type=manifest.media_type,
        digest=digest_of(body),
        size=len(body),
        artifact_type=manifest.artifact_type or manifest.config.media_type,
        annotations=manifest.annotations,
    )
