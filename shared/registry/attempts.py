"""Trying again, a bounded number of times within a bounded time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.registry.errors import Passing, Silent
from shared.registry.limits import Limits

T = TypeVar("T")


class Attempts:
    """How often it has gone wrong. Silence, which costs the most time, is borne once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._failures = 0
        self._silences = 0

    def failed(self, error: Passing) -> float:
        """Seconds to wait before the next attempt. Raises `error` when there is none left."""
        self._failures += 1
        self._silences += isinstance(error, Silent)
        if self._failures >= self._limits.attempts or self._silences > 1:
            raise error
        return pause(self._limits, self._failures, error.after)


async def persist(
    what: str, limits: Limits, attempt: Callable[[], Awaitable[T]], *, seconds: float | None = None
) -> T:
    """What `attempt` gives, run again while it raises Passing. At the end Passing is raised.

    `seconds` are for all of it (else those of a small operation).
    """
    attempts, last = Attempts(limits), Passing(f"{what}: it took too long; try again later")
    try:
        async with asyncio.timeout(limits.operation if seconds is None else seconds):
            while True:
                try:
                    return await attempt()
                except Passing as error:
                    wait, last = attempts.failed(error), error
                await asyncio.sleep(wait)
    except TimeoutError as error:
        raise last from error


def pause(limits: Limits, count: int, asked: float | None) -> float:
    """Seconds before further attempt `count` (from 1), never in step with others."""
    jitter = random.uniform(0.5, 1.0)
    if asked is not None:
        return min(limits.longest_pause, asked + jitter * limits.pause)
    return jitter * min(limits.longest_pause, limits.pause * 2.0 ** (count - 1))
