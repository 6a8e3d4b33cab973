"""Where what runs leave behind is kept: in the blob store, under its content's digest.

It is put there before the job is said to have finished, and the replica is ended after that. So
whoever is killed in between does it again, and finds or writes the very same blob.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from services.scheduler.driver import Driver, Replica
from shared.blobs import Blob, Blobs

MOST: Final = 1 << 30  # bytes of one run's files
HEADERS: Final = 1 << 30  # and of what a tar says of them, at most


class Outputs:
    def __init__(self, blobs: Blobs, most: int = MOST) -> None:
        self._blobs = blobs
        self._most = most

    async def keep(self, driver: Driver, replica: Replica) -> Blob | None:
        """None when it left nothing. Raises Invalid when that can't be kept, or is too much."""
        async with aclosing(driver.outputs(replica, self._most)) as pieces:
            first = await anext(pieces, b"")
            if not first:
                return None
            return await self._blobs.put(_all(first, pieces), limit=self._most + HEADERS)


async def _all(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in others:
        yield piece
