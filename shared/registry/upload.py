"""One blob on its way to a registry, with a watch over its progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from shared.errors import Permanent
from shared.registry.errors import Damaged, Passing, Silent
from shared.registry.limits import Limits
from shared.registry.pull import Content
from shared.registry.reference import Reference

Open = Callable[[], AsyncIterable[bytes]]
"""Gives a blob's bytes from the start, each time it is called."""

PACE: Final = 20_000_000  # bytes a second at which a registry is expected to check what it got
CHUNK: Final = 1 << 20

_LOST: Final = "its upload was lost; try again later"


class Upload:
    def __init__(self, what: Reference, blob: Content, open: Open, limits: Limits) -> None:
        self.what = what
        self.blob = blob
        self.trouble: Exception | None = None  # in reading what is to be sent
        self.longest = limits.transfer(blob.size) + blob.size / PACE
        self._open = open
        self._limits = limits
        self._watch: asyncio.Timeout | None = None
        self._mismatches = 0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Raises Passing when nothing has moved for too long."""
        try:
            async with asyncio.timeout(self._limits.silence) as self._watch:
                yield
        except TimeoutError as error:
            raise Silent(f"{self.what}: the registry stopped taking it") from error
        finally:
            self._watch = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Exactly as many bytes as were announced, or `trouble`."""
        sent = 0
        try:
            async for chunk in self._open():
                for start in range(0, len(chunk), CHUNK):
                    part = chunk[start : start + CHUNK] if len(chunk) > CHUNK else chunk
                    sent += len(part)
                    if sent > self.blob.size:
                        raise Permanent(f"{self.what} is longer than its {self.blob.size} bytes")
                    self._moved(self._limits.silence)
                    yield part
            if sent < self.blob.size:
                raise Permanent(f"{self.what} ends after {sent} of its {self.blob.size} bytes")
            self._moved(self._limits.request + self.blob.size / PACE)
        except Exception as error:
            self.trouble = error
            raise

    def _moved(self, seconds: float) -> None:
        if self._watch is not None:
            self._watch.reschedule(asyncio.get_running_loop().time() + seconds)

    def refused(self, codes: frozenset[str]) -> None:
        """What a refusal of the whole means: raises Passing, or Damaged when it says so twice."""
        if "DIGEST_INVALID" in codes:
            self._mismatches += 1
            if self._mismatches > 1:
                raise Damaged(f"{self.what}: the registry got something of another digest")
        raise Passing(f"{self.what}: {_LOST}")
