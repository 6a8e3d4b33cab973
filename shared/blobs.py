"""Code, files and image layers by content hash: written once, never changed.

The store is anything that obstore speaks to; a folder on this machine by default. A blob is first
written under a name of its own and moved to its digest when it is whole, so a reader never sees a
part, and a crash leaves only a stray under `incoming/`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from shared import ids
from shared.errors import Invalid, Permanent, Transient, translate

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
CHUNK: Final = 1 << 20

_ERRORS: Final[dict[type[Exception], type[Transient | Permanent]]] = {
    FileNotFoundError: Permanent,
    OSError: Transient,
    obstore.exceptions.BaseError: Transient,
}


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    digest: str  # sha256:<64 hex digits>
    size: int


class TooLarge(Invalid):
    """More bytes came than were allowed; nothing is kept."""


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _key(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise Invalid("digest", "is not of the form sha256:<64 hex digits>")
    return f"sha256/{digest[7:9]}/{digest[7:]}"


class Blobs:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def open(cls, url: str) -> Blobs:
        """`file:<folder>` (made if missing) or any URL that obstore knows, such as `s3://…`."""
        if url.startswith("file:"):
            folder = Path(url.removeprefix("file://").removeprefix("file:")).absolute()
            return cls(LocalStore(prefix=folder, mkdir=True))
        return cls(from_url(url))

    async def put(self, chunks: AsyncIterable[bytes], *, limit: int | None = None) -> Blob:
        """Keep a stream under its digest. Raises TooLarge past `limit` bytes."""
        incoming = f"incoming/{ids.new('b')}"
        hashed, size = hashlib.sha256(), 0
        try:
            with translate(_ERRORS):
                async with obstore.open_writer_async(
                    self._store, incoming, buffer_size=4 * CHUNK
                ) as writer:
                    async for chunk in chunks:
                        size += len(chunk)
                        if limit is not None and size > limit:
                            raise TooLarge("", f"is larger than the {limit} bytes allowed")
                        hashed.update(chunk)
                        await writer.write(chunk)
                digest = f"sha256:{hashed.hexdigest()}"
                await obstore.rename_async(self._store, incoming, _key(digest))
        except BaseException:
            await self._drop(incoming)
            raise
        return Blob(digest=digest, size=size)

    async def put_bytes(self, content: bytes) -> Blob:
        digest = digest_of(content)
        if await self.size(digest) is None:
            with translate(_ERRORS):
                await obstore.put_async(self._store, _key(digest), content)
        return Blob(digest=digest, size=len(content))

    async def size(self, digest: str) -> int | None:
        """In bytes, or None when it is not here."""
        with translate(_ERRORS), suppress(FileNotFoundError):
            return int((await obstore.head_async(self._store, _key(digest)))["size"])
        return None

    async def stream(self, digest: str) -> AsyncIterator[bytes]:
        """Its bytes in chunks. Raises Permanent when it is missing or is not what its name says."""
        hashed = hashlib.sha256()
        with translate(_ERRORS):
            found = await obstore.get_async(self._store, _key(digest))
            async for chunk in found.stream(min_chunk_size=CHUNK):
                content = bytes(chunk)
                hashed.update(content)
                yield content
        if hashed.hexdigest() != digest[7:]:
            raise Permanent(f"blob {digest} is damaged")

    async def read(self, digest: str, *, limit: int = 16 << 20) -> bytes:
        """The whole of a small blob. Raises TooLarge past `limit`, else as `stream`."""
        size = await self.size(digest)
        if size is not None and size > limit:
            raise TooLarge("", f"is larger than {limit} bytes")
        return b"".join([chunk async for chunk in self.stream(digest)])

    async def _drop(self, key: str) -> None:
        # a stray is harmless and is swept with the others
        with suppress(FileNotFoundError, OSError, obstore.exceptions.BaseError):
            await obstore.delete_async(self._store, key)
