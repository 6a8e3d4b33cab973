"""All that is done with image registries. One of these serves a whole process.

Every call ends, with an answer or with one of our errors: Transient when it may work later and
further attempts did not help, NotFound, Denied, Damaged or MissingBlobs (all Permanent) when not.
Where only a repository is meant, a reference's tag and digest do not matter.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from shared import image
from shared.registry.auth import Auth
from shared.registry.credentials import Credentials
from shared.registry.errors import Damaged
from shared.registry.hosts import Hosts
from shared.registry.limits import Limits
from shared.registry.manifests import Resolved, decode, digest_of
from shared.registry.pages import following
from shared.registry.pull import Content, Kind, Pull, scopes
from shared.registry.push import Push
from shared.registry.reference import TAG, Reference
from shared.registry.referrers import Referrers
from shared.registry.session import Session
from shared.registry.upload import Open
from shared.registry.wire import Wire

AMD64: Final = image.Platform(architecture="amd64", os="linux")
SMALL: Final = 16 << 20  # bytes of a blob that is read as a whole


class Registries:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._pull = Pull(session)
        self._push = Push(session, self._pull)
        self._referrers = Referrers(session, self._pull, self._push)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        credentials: Credentials | None = None,
        *,
        trusted: Collection[str] | None = None,
        limits: Limits | None = None,
    ) -> AsyncIterator[Registries]:
        """`trusted` registries may have private addresses; None: all that calls name.

        Loopback is spoken to in plain HTTP, everything else by TLS.
        """
        hosts = Hosts(trusted)
        async with Wire.open(hosts, limits or Limits()) as wire:
            yield cls(Session(wire, Auth(wire, credentials or Credentials(), hosts), hosts))

    async def resolve(self, reference: Reference, platform: image.Platform = AMD64) -> Resolved:
        """The image that a reference means now, by digest; its reference is good for ever.

        One request, or two where an index is in between. Raises Damaged for what is no image.
        """
        return await self._pull.resolve(reference, platform)

    async def manifest(self, repository: Reference, digest: str) -> Resolved:
        """A manifest by its digest, of an image or of an artifact, as it is."""
        return await self._pull.manifest(repository.at(digest))

    def stream(self, repository: Reference, blob: Content) -> AsyncGenerator[bytes, None]:
        """A blob in chunks of less than 2 MiB.

        Only after the last of them is known whether it was the right one: raises Damaged if not.
        """
        return self._pull.stream(repository, blob)

    async def read(self, repository: Reference, blob: Content, *, limit: int = SMALL) -> bytes:
        """The whole of a small blob. Raises Damaged past `limit` bytes, else as `stream`."""
        return await self._pull.read(repository, blob, limit)

    async def has(self, repository: Reference, digest: str, kind: Kind) -> bool:
        return await self._pull.has(repository, digest, kind, scopes(repository))

    async def push_blob(
        self, repository: Reference, blob: Content, open: Open, mount_from: str = ""
    ) -> None:
        """Have a blob in a repository; nothing is sent when it is there.

        `mount_from` names a repository of the same registry that may have it. `open` gives its
        bytes from the start and is called for each attempt. Errors that it raises are raised here.
        """
        await self._push.blob(repository, blob, open, mount_from)

    async def push_manifest(
        self, repository: Reference, body: bytes, media_type: str, tag: str = ""
    ) -> str:
        """Its digest. It is kept by digest, or with `tag` under that, in place of what had it.

        Raises MissingBlobs when what it names is not in the repository.
        """
        await self._push.manifest(repository, body, media_type, tag)
        return digest_of(body)

    async def referrers(
        self, repository: Reference, digest: str, artifact_type: str = ""
    ) -> tuple[image.Descriptor, ...]:
        """The manifests that say something about the one of `digest`, all or of one type.

        A registry's word: read each with `manifest` and look at its subject before believing it.
        """
        found = await self._referrers.all(repository, digest)
        return tuple(one for one in found if artifact_type in ("", one.artifact_type))

    async def attach(
        self, repository: Reference, subject: image.Descriptor, *bodies: bytes
    ) -> tuple[image.Descriptor, ...]:
        """Keep manifests, whose blobs are there and whose `subject` is given, and list them.

        Attaching the same again changes nothing.
        """
        return await self._referrers.attach(repository, subject, bodies)

    async def tags(self, repository: Reference) -> tuple[str, ...]:
        """All of them; none when there is no such repository."""
        found: list[str] = []
        limits = self._session.limits
        url = self._session.url(repository, "tags/list", n="1000")
        for _ in range(limits.pages):
            answer = await self._session.ask(
                "GET",
                repository,
                url,
                scopes=scopes(repository),
                fine=frozenset({200, 404}),
                limit=limits.manifest,
            )
            if answer.status == 404:
                return ()
            page = decode(repository.name, _Tags, answer.body)
            found += [tag for tag in page.tags or () if TAG.fullmatch(tag)]
            if len(found) > limits.tags:
                raise Damaged(f"{repository.name} has more than {limits.tags} tags")
            next_page = following(repository, answer)
            if next_page is None:
                return tuple(found)
            url = next_page
        raise Damaged(f"{repository.name}: the registry's list of tags has no end")

    async def delete(self, repository: Reference, digest: str) -> None:
        """Remove a manifest, its tags and what is attached to it, as far as they are there.

        Blobs that nothing names any more are the registry's to clean.
        """
        await self._referrers.drop(repository, digest)
        await self._push.delete(repository, digest)


class _Tags(msgspec.Struct):
    tags: list[str] | None = None
