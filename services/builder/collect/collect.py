"""Throws away what nobody needs any more, now and then, and one builder at a time.

First rows are forgotten that nobody has used for long, then blobs that nothing names go. Whatever
is used meanwhile stays, in whatever order things happen:

* a blob that is written, or found by a put, is fresh, and no fresh blob is removed;
* a cached layer or an upload that is used has its row touched before its blob is looked at, and a
  row that is touched is not forgotten; one that was forgotten first is not there to be used;
* rows go before blobs, so a crash in between leaves blobs to be removed the next time.

So it does not matter how old the list of what is needed has become when a blob is removed.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from services.builder.collect.chore import Chore
from services.builder.collect.leftovers import Leftovers
from services.builder.collect.marks import Marks
from services.builder.collect.shelves import Shelves
from services.builder.depot import Depot
from shared.blobs import Blobs
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.registry import Registries
from shared.run import Loop, every
from shared.service import Floor

log = logging.getLogger(__name__)

LAYERS_FORGET = sql(__package__, "layers_forget")
UPLOADS_FORGET = sql(__package__, "uploads_forget")
PROFILES_FORGET = sql(__package__, "profiles_forget")

LONGEST: Final = 6 * 3600.0  # seconds for one time
HOURS: Final = timedelta(days=30)  # for which profiles by the hour are kept


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """For how many days something is kept that nobody uses: longer than any build takes."""

    layers: float = 30.0
    uploads: float = 7.0
    blobs: float = 1.0  # after they were written

    def __post_init__(self) -> None:
        if min(self.layers, self.uploads, self.blobs) < 1:
            raise ValueError("must be at least 1 day")


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    layers: int = 0
    uploads: int = 0
    profiles: int = 0
    blobs: int = 0
    size: int = 0  # bytes of these
    strays: int = 0


class Collector:
    def __init__(self, database: Database, blobs: Blobs, keep: Keep) -> None:
        self._database = database
        self._blobs = blobs
        self._keep = keep
        self._marks = Marks(database, blobs)
        self._leftovers = Leftovers(database, blobs, self._marks, days=keep.layers)

    async def collect(self) -> Collected:
        """Raises Transient when something is away; what was done until then is done."""
        now = datetime.now(UTC)
        before = now - timedelta(days=self._keep.blobs)
        layers = await self._forget(LAYERS_FORGET, now - timedelta(days=self._keep.layers))
        layers += await self._leftovers.forget(before)
        uploads = await self._forget(UPLOADS_FORGET, now - timedelta(days=self._keep.uploads))
        profiles = await self._forget(PROFILES_FORGET, now - HOURS)
        needed = await self._marks.needed()
        blobs = size = 0
        async for found in self._blobs.kept():
            old = found.at < before and found.digest not in needed
            if old and await self._blobs.remove(found.digest, before):
                blobs, size = blobs + 1, size + found.size
        strays = await self._blobs.sweep(before)
        return Collected(
            layers=layers,
            uploads=uploads,
            profiles=profiles,
            blobs=blobs,
            size=size,
            strays=strays,
        )

    async def _forget(self, statement: str, unused_since: datetime) -> int:
        return int(await self._database.value(statement, unused_since))


def loop(
    floor: Floor, keep: Keep, registries: Registries, depot: Depot | None, often: float
) -> Loop:
    """Collects every `often` seconds, one process of all at a time."""
    chore = Chore(floor.database, "collect", often=often, longest=LONGEST)
    collector = Collector(floor.database, floor.blobs, keep)
    shelves = None
    if depot is not None:
        shelves = Shelves(floor.database, registries, depot, days=keep.blobs)

    async def work() -> None:
        async with chore.turn() as ours:
            if ours:
                log.info("collected %s", await collector.collect())
                if shelves is not None:
                    log.info("cleared %s", await shelves.clear())

    return every(min(often, 60.0), work)
