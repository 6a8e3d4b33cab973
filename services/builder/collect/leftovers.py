"""What the cache has of endpoints that are over: their code, files, packages and images.

The cache keeps what it has for long, since the next build may be of the same. To terminate an
endpoint is to purge its environment and all its data, so what is in no other image goes sooner.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Final

from services.builder import image as images
from services.builder.collect.marks import Marks
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Permanent

OVER = sql(__package__, "over")
CACHED = sql(__package__, "cached")
CACHED_FORGET = sql(__package__, "cached_forget")

PAGE: Final = 500  # versions


class Leftovers:
    """`days` are those for which the cache keeps what nobody uses."""

    def __init__(self, database: Database, blobs: Blobs, marks: Marks, *, days: float) -> None:
        self._database = database
        self._blobs = blobs
        self._marks = marks
        self._days = days

    async def forget(self, before: datetime) -> int:
        """How many were forgotten of those that no build has used since then."""
        own = {digest async for digest in self._own()}
        found = await self._cached(before, own) if own else {}
        if not found:
            return 0
        wanted = await self._marks.wanted()
        gone = [digest for digest, names in found.items() if names - wanted]
        return int(await self._database.value(CACHED_FORGET, gone, before))

    async def _own(self) -> AsyncIterator[str]:
        """Digests of all that is theirs; some of it may be another's as well."""
        after = 0
        while rows := await self._database.fetch(OVER, after, PAGE, self._days):
            after = rows[-1]["seq"]
            for row in rows:
                for record in row["record"].values():
                    yield record.get("lock", "")
                for image in row["images"].values():
                    yield image
                    with suppress(Permanent):  # gone by now
                        for layer in images.ours(await images.read(self._blobs, image)):
                            yield layer.digest

    async def _cached(self, before: datetime, own: set[str]) -> dict[str, set[str]]:
        """By blob that the cache has: what of their own it is, or names."""
        found = {}
        for row in await self._database.fetch(CACHED, before):
            digest = str(row["digest"])
            if theirs := ({digest} | await self._marks.names(digest)) & own:
                found[digest] = theirs
        return found
