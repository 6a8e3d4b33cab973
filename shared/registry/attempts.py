"""Trying again, a bounded number of times within a bounded time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.registry.errors import Passing
from shared.registry.limits import Limits

T = TypeVar("T")


async def persist(
    what: str, limits: Limits, attempt: Callable[[], Awaitable[T]], *, seconds: float | None = None
) -> T:
    """What `attempt` gives, run again while it raises Passing. At the end Passing is raised.

    `seconds` are for all of it (else those of a small operation).
    """
    last: Passing | None = None
    try:
        async with asyncio.timeout(limits.operation if seconds is None else seconds):
            for count in range(limits.attempts):
                if last is not None:
                    await asyncio.sleep(pause(limits, count, last.after))
                try:
                    return await attempt()
                except Passing as error:
                    last = error
    except TimeoutError as error:
        raise last or Passing(f"{what}: it took too long; try again later") from error
    assert last is not None
    raise last


def pause(limits: Limits, count: int, asked: float | None) -> float:
    """Seconds before further attempt `count` (from 1), never in step with others."""
    jitter = random.uniform(0.5, 1.0)
    if asked is not None:
        return min(limits.longest_pause, asked + jitter * limits.pause)
    return jitter * min(limits.longest_pause, limits.pause * 2.0 ** (count - 1))
