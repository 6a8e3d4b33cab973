"""What was built before, found by what it was built from; its blob is looked at before use."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TypeVar

import msgspec

from shared.blobs import Blob, Blobs
from shared.database.pool import Database
from shared.database.sqlfile import sql

LAYER = sql(__package__, "layer")
LAYER_USE = sql(__package__, "layer_use")
LAYER_KEEP = sql(__package__, "layer_keep")

T = TypeVar("T", bound=msgspec.Struct)
Whole = Callable[[T], Awaitable[bool]]


class Cache:
    """Layers and images by key. The first that was kept under a key stays, so all agree."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    async def find(self, key: str) -> Blob | None:
        blob = await self._known(key)
        if blob is None or await self._blobs.size(blob.digest) != blob.size:
            return None
        return blob

    async def keep(self, key: str, blob: Blob, *, instead_of: Blob | None = None) -> Blob:
        """What everybody uses for `key` from now on: `blob`, or what somebody else kept first.

        `instead_of` was found and is of no use, since something that it names is gone.
        """
        known = instead_of or await self._known(key)
        lost = known is not None and await self._blobs.size(known.digest) != known.size
        digest = known.digest if known is not None and (instead_of or lost) else None
        row = await self._database.row(LAYER_KEEP, key, blob.digest, blob.size, digest)
        assert row is not None
        return Blob(digest=row["digest"], size=row["size"])

    async def known(self, key: str, kind: type[T], whole: Whole[T]) -> T | None:
        """A value that was kept, unless a blob that it names is gone, as `whole` tells."""
        found = await self.find(key)
        return None if found is None else await self._read(found, kind, whole)

    async def agree(self, key: str, made: T, whole: Whole[T]) -> T:
        """Keep a value that was just made, or have the one that somebody else kept first.

        What runs in a base may not give the same twice, and two may have made it at a time.
        """
        before = await self.find(key)
        lost = before is not None and await self._read(before, type(made), whole) is None
        own = await self._blobs.put_bytes(msgspec.json.encode(made))
        first = await self.keep(key, own, instead_of=before if lost else None)
        agreed = None if first == own else await self._read(first, type(made), whole)
        return agreed or made

    async def has(self, blob: Blob) -> bool:
        return await self._blobs.size(blob.digest) == blob.size

    async def layer(self, key: str, make: Callable[[], Awaitable[AsyncIterable[bytes]]]) -> Blob:
        """The layer of that key, made and kept when it is not there."""
        found = await self.find(key)
        if found is None:
            found = await self.keep(key, await self._blobs.put(await make()))
        return found

    async def _read(self, blob: Blob, kind: type[T], whole: Whole[T]) -> T | None:
        found = msgspec.json.decode(await self._blobs.read(blob.digest), type=kind)
        return found if await whole(found) else None

    async def _known(self, key: str) -> Blob | None:
        row = await self._database.row(LAYER, key)
        if row is not None and row["stale"]:
            row = await self._database.row(LAYER_USE, key)
        return None if row is None else Blob(digest=row["digest"], size=row["size"])
