"""What was built before, found by what it was built from; its blob is looked at before use."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable

from shared.blobs import Blob, Blobs
from shared.database.pool import Database
from shared.database.sqlfile import sql

LAYER = sql(__package__, "layer")
LAYER_USE = sql(__package__, "layer_use")
LAYER_KEEP = sql(__package__, "layer_keep")


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

    async def layer(self, key: str, make: Callable[[], Awaitable[AsyncIterable[bytes]]]) -> Blob:
        """The layer of that key, made and kept when it is not there."""
        found = await self.find(key)
        if found is None:
            found = await self.keep(key, await self._blobs.put(await make()))
        return found

    async def _known(self, key: str) -> Blob | None:
        row = await self._database.row(LAYER, key)
        if row is not None and row["stale"]:
            row = await self._database.row(LAYER_USE, key)
        return None if row is None else Blob(digest=row["digest"], size=row["size"])
