"""How fast we may ask: a few calls at once, and so many a second after a first burst."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

BACKOFF: Final = (0.25, 8.0)  # seconds: the first, the longest


class Pace:
    def __init__(self, *, in_flight: int, rate: float, burst: int) -> None:
        self._places = asyncio.Semaphore(in_flight)
        self._gap = 1.0 / rate
        self._burst = burst * self._gap
        self._due = time.monotonic() - self._burst  # when the next call would be due at `rate`

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A place among the calls in flight, when its time has come."""
        async with self._places:
            await self.moment()
            yield

    async def moment(self) -> None:
        """Wait until one more call may begin; each of them has a moment of its own."""
        now = time.monotonic()
        self._due = max(self._due, now - self._burst) + self._gap
        if self._due > now:
            await asyncio.sleep(self._due - now)


def backoff(failures: int, chance: float | None = None) -> float:
    """Seconds to wait after `failures` in a row: twice as long each time, never quite the same.

    >>> backoff(1, 1.0), backoff(3, 1.0), backoff(3, 0.0), backoff(99, 1.0)
    (0.25, 1.0, 0.5, 8.0)
    """
    first, longest = BACKOFF
    whole = min(longest, first * 2.0 ** min(failures - 1, 16))
    return float(whole * (0.5 + 0.5 * (random.random() if chance is None else chance)))
