"""Reading from registries. What is handed out has been measured against its digest."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack, aclosing
from typing import Final, Literal, Protocol, TypeVar

import aiohttp

from shared import image
from shared.registry import manifests
from shared.registry.attempts import Attempts
from shared.registry.auth import Scopes
from shared.registry.errors import Damaged, Passing, Silent
from shared.registry.manifests import ACCEPT, CONFIGS, INDEXES, Resolved, digest_of
from shared.registry.reference import Reference
from shared.registry.session import Answer, Session

T = TypeVar("T")
Kind = Literal["blob", "manifest"]

_PART: Final = frozenset({200, 206})


class Content(Protocol):
    """What is known of a blob beforehand: a descriptor, or a blob of our own store."""

    @property
    def digest(self) -> str: ...

    @property
    def size(self) -> int: ...


class Pull:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def resolve(self, reference: Reference, platform: image.Platform) -> Resolved:
        answer = await self.get(reference)
        digest, limits = digest_of(answer.body), self._session.limits
        if answer.media_type not in INDEXES:
            found = manifests.manifest(str(reference), answer.media_type, answer.body, limits)
            return _resolved(reference.at(digest), found, answer.body)
        index = manifests.index(str(reference), answer.media_type, answer.body, limits)
        chosen = manifests.choose(str(reference), index, platform)
        one = reference.at(chosen.digest)
        answer = await self.get(one)
        if answer.media_type != chosen.media_type or len(answer.body) != chosen.size:
            raise Damaged(f"{one} is not what the index {reference} says")
        found = manifests.manifest(str(one), answer.media_type, answer.body, limits)
        return _resolved(one, found, answer.body, digest)

    async def manifest(self, reference: Reference) -> Resolved:
        """One that is no index, of an image or of anything else."""
        answer = await self.get(reference)
        what, limits = str(reference), self._session.limits
        found = manifests.manifest(what, answer.media_type, answer.body, limits)
        return Resolved(
            reference=reference.at(digest_of(answer.body)), manifest=found, body=answer.body
        )

    async def get(self, reference: Reference) -> Answer:
        """A manifest or index as it is, of the digest that was asked for or that was promised."""
        answer = await self._session.ask(
            "GET",
            reference,
            self._session.url(reference, f"manifests/{reference.version}"),
            scopes=scopes(reference),
            headers={"Accept": ACCEPT},
            limit=self._session.limits.manifest,
        )
        digest = digest_of(answer.body)
        promised = answer.headers.get("Docker-Content-Digest", "")
        if reference.digest and digest != reference.digest:
            raise Damaged(f"{reference}: the registry answered {digest} instead")
        if promised.startswith("sha256:") and digest != promised:
            raise Damaged(f"{reference}: the registry answered {digest} for {promised[:80]!r}")
        return answer

    async def has(self, repository: Reference, digest: str, kind: Kind, scopes: Scopes) -> bool:
        what = repository.at(digest)
        answer = await self._session.ask(
            "HEAD",
            what,
            self._session.url(repository, f"{kind}s/{digest}"),
            scopes=scopes,
            headers={"Accept": ACCEPT} if kind == "manifest" else {},
            fine=frozenset({200, 404}),
        )
        return answer.status == 200

    async def stream(self, repository: Reference, blob: Content) -> AsyncGenerator[bytes, None]:
        """Broken off, it is taken up again where it broke off."""
        what = repository.at(blob.digest)
        limits = self._session.limits
        budget = Budget(what, limits.transfer(blob.size))
        hashed, done, attempts = hashlib.sha256(), 0, Attempts(limits)
        while True:
            try:
                async with aclosing(self._from(what, blob, done, budget)) as chunks:
                    async for chunk in chunks:
                        done += len(chunk)
                        if done > blob.size:
                            raise Damaged(f"{what} is longer than its {blob.size} bytes")
                        hashed.update(chunk)
                        yield chunk
                break
            except Passing as error:
                if done == blob.size:
                    break
                await asyncio.sleep(attempts.failed(error))
        if done != blob.size:
            raise Damaged(f"{what} is {done} bytes long, not {blob.size}")
        if hashed.hexdigest() != blob.digest.removeprefix("sha256:"):
            raise Damaged(f"{what}: the registry answered something else")

    async def _from(
        self, what: Reference, blob: Content, start: int, budget: Budget
    ) -> AsyncGenerator[bytes, None]:
        """The blob from `start` on."""
        async with AsyncExitStack() as stack:
            head = self._session.exchange(
                "GET",
                what,
                self._session.url(what, f"blobs/{blob.digest}"),
                scopes=scopes(what),
                headers={"Range": f"bytes={start}-"} if start else {},
                fine=_PART,
            )
            limits = self._session.limits
            response = await budget.spend(stack.enter_async_context(head), limits.silence)
            skip = _skip(what, response, blob.size, start)
            while chunk := await budget.spend(self._session.wire.some(response), limits.silence):
                if skip < len(chunk):
                    yield chunk[skip:] if skip else chunk
                skip = max(0, skip - len(chunk))

    async def read(self, repository: Reference, blob: Content, limit: int) -> bytes:
        what = repository.at(blob.digest)
        if blob.size > limit:
            raise Damaged(f"{what} is larger than the {limit} bytes allowed")
        return b"".join([chunk async for chunk in self.stream(repository, blob)])


class Budget:
    """Seconds that may be spent on waiting for a registry; its reader's own time is not counted."""

    def __init__(self, what: Reference, seconds: float) -> None:
        self.left = seconds
        self._what = what

    async def spend(self, work: Awaitable[T], most: float) -> T:
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(most, self.left))):
                return await work
        except TimeoutError as error:
            silent = "the registry fell silent or is too slow; try again later"
            raise Silent(f"{self._what}: {silent}") from error
        finally:
            self.left -= time.monotonic() - began


def scopes(repository: Reference, actions: str = "pull") -> Scopes:
    return (f"repository:{repository.repository}:{actions}",)


def _resolved(
    reference: Reference, found: image.Manifest, body: bytes, index_digest: str = ""
) -> Resolved:
    if found.config.media_type not in CONFIGS:
        raise Damaged(f"{reference} is not an image but something that is kept beside images")
    return Resolved(reference=reference, manifest=found, body=body, index_digest=index_digest)


def _skip(what: Reference, response: aiohttp.ClientResponse, size: int, start: int) -> int:
    """How much of the answer was had before. Raises Damaged when it is not of the blob's size."""
    partial = response.status == 206
    begun = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    if partial and not (start and begun):
        raise Damaged(f"{what}: the registry answered another part than was asked for")
    expected = size - start if partial else size
    if response.content_length not in (None, expected):
        raise Damaged(f"{what} is not of the size that is named for it, {size} bytes")
    return 0 if partial else start
