"""Code, files and image layers by content hash: written once, never changed.

The store is anything that obstore speaks to; a folder on this machine by default. A blob is first
written under a name of its own and moved to its digest when it is whole, so a reader never sees a
part, and a crash leaves only a stray under `incoming/`. In a folder, what was put is on the disk
before it is said to be: a power cut takes nothing of it back.

Nothing is removed by those who write and read. Whoever collects what nobody needs relies on this:
a blob that was put, or found there by a put, was written less than `FRESH` seconds before.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from shared import ids
from shared.errors import Invalid, Permanent, Transient, translate

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
CHUNK: Final = 1 << 20
PART: Final = 4 << 20  # that is held in memory
FRESH: Final = timedelta(hours=1)
INCOMING: Final = "incoming"

_ERRORS: Final[dict[type[Exception], type[Transient | Permanent]]] = {
    FileNotFoundError: Permanent,
    OSError: Transient,
    obstore.exceptions.BaseError: Transient,
}


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    digest: str  # sha256:<64 hex digits>
    size: int


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A blob as the store lists it."""

    digest: str
    size: int
    at: datetime  # when it was last written


class TooLarge(Invalid):
    """More bytes came than were allowed; nothing is kept."""


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _key(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise Invalid("digest", "is not of the form sha256:<64 hex digits>")
    return f"sha256/{digest[7:9]}/{digest[7:]}"


class Blobs:
    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        self._store = store
        self.folder = folder  # where the store is one on this machine

    @classmethod
    def open(cls, url: str) -> Blobs:
        """`file:<folder>` (made if missing) or any URL that obstore knows, such as `s3://…`."""
        if url.startswith("file:"):
            folder = Path(url.removeprefix("file://").removeprefix("file:")).absolute()
            return cls(LocalStore(prefix=folder, mkdir=True), folder)
        return cls(from_url(url))

    async def put(self, chunks: AsyncIterable[bytes], *, limit: int | None = None) -> Blob:
        """Keep a stream under its digest. Raises TooLarge past `limit` bytes."""
        incoming = f"{INCOMING}/{ids.new('b')}"
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
                await self._move(incoming, _key(digest))
        except BaseException:
            await self._drop(incoming)
            raise
        return Blob(digest=digest, size=size)

    async def put_bytes(self, content: bytes) -> Blob:
        digest = digest_of(content)
        found = await self._head(digest)
        if found is None or found.size != len(content) or _is_ageing(found):
            await self._put_bytes(digest, content)
        else:  # by somebody who may not have been told yet that it is on the disk
            with translate(_ERRORS):
                await self._settle(_key(digest))
        return Blob(digest=digest, size=len(content))

    async def _put_bytes(self, digest: str, content: bytes) -> None:
        incoming = f"{INCOMING}/{ids.new('b')}"
        with translate(_ERRORS):
            if self.folder is None:
                await obstore.put_async(self._store, _key(digest), content)
                return
            try:
                await obstore.put_async(self._store, incoming, content)
                await self._move(incoming, _key(digest))
            except BaseException:
                await self._drop(incoming)
                raise

    async def _move(self, incoming: str, key: str) -> None:
        """To its place, where the store is a folder not before it is on the disk."""
        if self.folder is not None:
            await asyncio.to_thread(_sync, self.folder / incoming)
        await obstore.rename_async(self._store, incoming, key)
        await self._settle(key)

    async def _settle(self, key: str) -> None:
        if self.folder is not None:
            place = (self.folder / key).parent
            # each may have been made just now
            await asyncio.to_thread(_sync, place, place.parent, self.folder)

    async def size(self, digest: str) -> int | None:
        """In bytes, or None when it is not here."""
        found = await self._head(digest)
        return None if found is None else found.size

    async def _head(self, digest: str) -> Kept | None:
        with translate(_ERRORS), suppress(FileNotFoundError):
            found = await obstore.head_async(self._store, _key(digest))
            return Kept(digest=digest, size=found["size"], at=found["last_modified"])
        return None

    async def stream(self, digest: str) -> AsyncGenerator[bytes, None]:
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

    async def part(self, digest: str, begin: int, end: int) -> AsyncGenerator[bytes, None]:
        """Its bytes from `begin` up to `end`, in chunks. Raises Permanent when it is missing.

        A part can't be checked against the digest; whoever asks for the whole wants `stream`.
        """
        with translate(_ERRORS):
            for at in range(begin, end, PART):
                found = await obstore.get_range_async(
                    self._store, _key(digest), start=at, end=min(at + PART, end)
                )
                yield bytes(found)

    async def read(self, digest: str, *, limit: int = 16 << 20) -> bytes:
        """The whole of a small blob. Raises TooLarge past `limit`, else as `stream`."""
        size = await self.size(digest)
        if size is not None and size > limit:
            raise TooLarge("", f"is larger than {limit} bytes")
        return b"".join([chunk async for chunk in self.stream(digest)])

    async def kept(self) -> AsyncIterator[Kept]:
        """All that is in the store, in no order; what comes or goes meanwhile, or not."""
        with translate(_ERRORS):
            async for page in obstore.list(self._store, "sha256/"):
                for found in page:
                    digest = f"sha256:{found['path'].rpartition('/')[2]}"
                    if DIGEST.fullmatch(digest):
                        yield Kept(digest=digest, size=found["size"], at=found["last_modified"])

    async def remove(self, digest: str, before: datetime) -> bool:
        """Remove a blob that was last written before then; whether it was.

        A blob that is put at the same time stays: exactly so in a folder; in an object store but
        for a put between two requests.
        """
        found = await self._head(digest)
        if found is None or found.at >= before:
            return False
        if self.folder is not None:
            with translate(_ERRORS):
                return await asyncio.to_thread(_remove, self.folder, _key(digest), before)
        with translate(_ERRORS), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, _key(digest))
        return True

    async def sweep(self, before: datetime) -> int:
        """Remove what puts left that were cut short before then; how many."""
        if self.folder is not None:
            with translate(_ERRORS):
                return await asyncio.to_thread(_sweep, self.folder / INCOMING, before)
        strays = 0
        with translate(_ERRORS):
            async for page in obstore.list(self._store, f"{INCOMING}/"):
                for found in page:
                    if found["last_modified"] < before:
                        await self._drop(found["path"])
                        strays += 1
        return strays

    async def _drop(self, key: str) -> None:
        # a stray is harmless and is swept with the others
        with suppress(FileNotFoundError, OSError, obstore.exceptions.BaseError):
            await obstore.delete_async(self._store, key)


def _is_ageing(found: Kept) -> bool:
    return found.at < datetime.now(UTC) - FRESH / 2


def _sync(*paths: Path) -> None:
    """Returns when a power cut takes none of them back, nor what a folder of them has."""
    for path in paths:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _remove(folder: Path, key: str, before: datetime) -> bool:
    """Take the file away first and look at it then: a put that was faster is undone by nobody."""
    aside = folder / INCOMING / ids.new("r")
    aside.parent.mkdir(exist_ok=True)
    try:
        (folder / key).rename(aside)
    except FileNotFoundError:
        return False
    try:
        old = aside.stat().st_mtime < before.timestamp()
        if not old:
            with suppress(FileExistsError):  # it was put once more
                os.link(aside, folder / key)
        return old
    finally:
        aside.unlink()


def _sweep(folder: Path, before: datetime) -> int:
    strays = 0
    # the store itself does not list what it has not finished
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
                strays += 1
    return strays
