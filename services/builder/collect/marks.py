"""What is needed: every blob that the database names, and every blob that one of these names.

Nothing here knows what names what. A digest counts wherever it stands, in a version's record as in
a manifest of whatever kind, so it is never too little that is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import aclosing
from typing import Final

from shared.blobs import Blobs
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Permanent

HELD = sql(__package__, "held")
KEPT = sql(__package__, "kept")
SAID_OF_VERSIONS = sql(__package__, "said_of_versions")

NAMED: Final = re.compile(r"sha256:[0-9a-f]{64}")
PAGE: Final = 500  # versions
LARGEST: Final = 4 << 20  # bytes of something that names others
REMEMBERED: Final = 200_000  # digests of what names nothing


class Marks:
    """Finds what is needed; remembers between two times what names nothing, as it never will."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._barren: set[str] = set()

    async def needed(self) -> set[str]:
        """Digests. Raises Transient rather than leave one out."""
        return await self._all(KEPT)

    async def wanted(self) -> set[str]:
        """The same, without what is there for the cache alone."""
        return await self._all(HELD)

    async def _all(self, statement: str) -> set[str]:
        found: set[str] = set()
        ahead = {str(row["digest"]) for row in await self._database.fetch(statement)}
        ahead |= await self._said()
        while ahead:
            digest = ahead.pop()
            if digest not in found:
                found.add(digest)
                ahead |= await self.names(digest)
        return found

    async def _said(self) -> set[str]:
        found: set[str] = set()
        after = 0
        while rows := await self._database.fetch(SAID_OF_VERSIONS, after, PAGE):
            found |= named(row["said"] for row in rows)
            after = rows[-1]["seq"]
        return found

    async def names(self, digest: str) -> set[str]:
        """The digests in a blob; none when it is gone."""
        if digest in self._barren:
            return set()
        size = await self._blobs.size(digest)
        if size is None:
            return set()
        try:
            names = named([await self._text(digest)]) if size <= LARGEST else set()
        except Permanent:  # gone or damaged, so nobody can follow what it names
            return set()
        if not names and len(self._barren) < REMEMBERED:
            self._barren.add(digest)
        return names

    async def _text(self, digest: str) -> str:
        """Its content when it is an object in JSON, else nothing."""
        body = b""
        async with aclosing(self._blobs.stream(digest)) as chunks:
            async for chunk in chunks:
                body += chunk
                if not body.startswith(b"{"):
                    return ""
        return body.decode("utf-8", "replace")


def named(texts: Iterable[str]) -> set[str]:
    return {digest for text in texts for digest in NAMED.findall(text)}
