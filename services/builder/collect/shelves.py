"""Takes images out of the registry whose version failed after they were named, or is over.

A build names its images last of all, so it seldom fails after that: somebody cancelled it at that
moment, or its builder died and the next try failed. A version that was made for one endpoint alone
is over when its jobs are terminated or purged. A tag begins with its version's id. Only tags of
such versions that the database knows are looked at, since a registry may be shared with others; and
an image stays that another version of the project has, or may be about to have.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from services.builder.depot import Depot
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Permanent
from shared.registry import Damaged, NotFound, Reference, Registries

log = logging.getLogger(__name__)

FAILURES = sql(__package__, "failures")
FAILED = sql(__package__, "failed")
WANTED = sql(__package__, "wanted")

TAG: Final = re.compile(r"(v[0-9a-z]+)-.*")


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    images: int = 0


class Shelves:
    """Remembers which projects were looked through since a version of theirs failed or ended."""

    def __init__(
        self, database: Database, registries: Registries, depot: Depot, *, days: float
    ) -> None:
        self._database = database
        self._registries = registries
        self._depot = depot
        self._days = days
        self._seen: dict[int, int] = {}  # project -> how many of its versions are gone

    async def clear(self) -> Cleared:
        """Raises Transient. Where a registry doesn't let us, its images stay."""
        images = 0
        for row in await self._database.fetch(FAILURES, self._days):
            if self._seen.get(row["seq"]) == row["gone"]:
                continue
            into = self._depot.repository(row["project"])
            try:
                cleared, left = await self._clear(row["seq"], into)
            except Permanent as error:  # it may keep all that it ever had, as some do
                log.warning("images of versions that failed or are over stay: %s", error)
                cleared, left = 0, 0
            images += cleared
            if not left:
                self._seen[row["seq"]] = row["gone"]
        return Cleared(images=images)

    async def _clear(self, project: int, into: Reference) -> tuple[int, int]:
        """How many images are gone, and how many have to wait."""
        tags = await self._registries.tags(into)
        rows = await self._database.fetch(FAILED, project, sorted(versions(tags)), self._days)
        failed = {row["id"] for row in rows}
        cleared = left = 0
        for tag in tags:
            if versions([tag]) & failed:
                digest = await self._digest(into.tagged(tag))
                if digest and await self._database.value(WANTED, project, digest):
                    left += 1
                elif digest:
                    await self._registries.delete(into, digest)
                    cleared += 1
        return cleared, left

    async def _digest(self, tagged: Reference) -> str:
        try:
            return (await self._registries.resolve(tagged)).reference.digest
        except (NotFound, Damaged):  # gone meanwhile, or nothing of ours
            return ""


def versions(tags: Iterable[str]) -> set[str]:
    """The ids that tags begin with.

    >>> versions(["v7f3k-greet", "latest", "sha256-ab.sig"])
    {'v7f3k'}
    """
    return {found[1] for tag in tags if (found := TAG.fullmatch(tag))}
