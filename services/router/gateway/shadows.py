"""Copies of requests for the variants that were not to answer.

They are for comparison, so nothing waits for them and nothing fails with them. They have no place
in a runtime's gate: a runtime gets one only while fewer than half of its places are taken, by
requests and shadows together, and all together are bounded in number and bytes. While the router
has its hands full there are none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from services.router.gateway import wire
from services.router.gateway.check import violations
from services.router.gateway.runtime import Runtime
from services.router.gateway.targets import Variant
from services.router.gateway.tensors import Tensors
from shared.dial import Failed
from shared.unary.rejected import Rejected

log = logging.getLogger(__name__)

MIB: Final = 1 << 20


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Of all the shadows in hand. `requests`: with more of those in hand there are none."""

    shadows: int = 128
    bytes: int = 64 * MIB
    requests: int = 64


class Shadows:
    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def send(
        self,
        runtime: Runtime,
        variant: Variant,
        message: bytes,
        deadline: float,
        done: Callable[[Tensors | None], None],
    ) -> bool:
        """Whether there was room. `done` is told what it answered; None: nothing of use."""
        gate = runtime.gate
        if (
            len(self._tasks) >= self._bounds.shadows
            or self._bytes + len(message) > self._bounds.bytes
            or 2 * (gate.inside + runtime.shadows) >= max(2, gate.places)
            or gate.queued
        ):
            return False
        self._bytes += len(message)
        runtime.shadows += 1
        task = asyncio.create_task(_ask(runtime, variant, message, deadline, done))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._bytes -= len(message)
            runtime.shadows -= 1
            if not task.cancelled() and (error := task.exception()):
                log.error("a shadow failed", exc_info=error)

        task.add_done_callback(ended)
        return True

    def busy(self, requests: int) -> bool:
        """Whether the router has better things to do."""
        return requests > self._bounds.requests

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


async def _ask(
    runtime: Runtime,
    variant: Variant,
    message: bytes,
    deadline: float,
    done: Callable[[Tensors | None], None],
) -> None:
    try:
        outputs = await wire.outputs(await runtime.call(message, deadline), variant)
    except (Failed, Rejected, ValueError):
        done(None)
        return
    done(None if any(violations(variant.contract.outputs, outputs)) else outputs)
