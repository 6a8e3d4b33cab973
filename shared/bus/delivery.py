"""What becomes of one delivered event, the same on every bus: done, tried again, parked or back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

from shared.bus.port import Handler
from shared.errors import Permanent, Transient
from shared.events import Event
from shared.run import pause
from shared.telemetry import FloorTelemetry

log = logging.getLogger(__name__)

PAUSES: Final = (0.2, 1.0, 5.0, 25.0)
"""Seconds between the tries of one event; after the last of them it is parked."""

LIMIT: Final = 300.0
"""Seconds after which a handler counts as failed. Nobody works for long on an event in hand."""

REMEMBERED: Final = 10_000


class Settled(Enum):
    DONE = "done"
    BACK = "back"  # not done, and not to be held against the event: somebody else gets it


class Park(msgspec.Struct, frozen=True):
    """Nobody can handle it: keep it for a person, with the reason."""

    reason: str
    tries: int


Outcome = Settled | Park


class Failures:
    """How often each event failed here. Kept in the process, so its death counts against none."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, int] = OrderedDict()

    def add(self, event: str) -> int:
        count = self._counts.pop(event, 0) + 1
        self._counts[event] = count
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        return count

    def forget(self, event: str) -> None:
        self._counts.pop(event, None)


def after(error: Exception, tries: int, pauses: Sequence[float]) -> float | Park:
    """What a failed try means: seconds until the next one, or that it is given up."""
    if isinstance(error, Permanent):
        return Park(f"permanent: {error}", tries)
    if tries > len(pauses):
        return Park(f"{type(error).__name__}: {error}", tries)
    return pauses[tries - 1]


def ahead(at_once: int) -> int:
    """How many events to take for `at_once` handlers, so that those which wait for another try
    leave room. One at a time stays one at a time: that subscriber counts on the order."""
    return 1 if at_once == 1 else 2 * at_once


class Subscription:
    """One handler and what it was given: at most `at_once` run, the rest wait for their turn."""

    def __init__(
        self,
        queue: str,
        handler: Handler,
        *,
        at_once: int,
        pauses: Sequence[float],
        telemetry: FloorTelemetry,
    ) -> None:
        self.queue = queue
        self.ahead = ahead(at_once)
        self._handler = handler
        self._pauses = pauses
        self._telemetry = telemetry
        self._turns = asyncio.Semaphore(at_once)
        self._failures = Failures()

    async def see_through(self, event: Event, over: asyncio.Event) -> Outcome:
        """Try until it is done or given up; once `over` is set, begin no further try."""
        while True:
            async with self._turns:
                if over.is_set():
                    return Settled.BACK
                error = await self._try(event)
            if error is None:
                self._failures.forget(event.id)
                return Settled.DONE
            decided = after(error, self._failures.add(event.id), self._pauses)
            if isinstance(decided, Park):
                self._failures.forget(event.id)
                return decided
            await pause(decided, over)

    async def _try(self, event: Event) -> Exception | None:
        """The one place where an error of a handler ends."""
        began = time.monotonic()
        outcome = "failed"
        try:
            async with asyncio.timeout(LIMIT):
                await self._handler(event)
            outcome = "done"
        except Transient as error:
            log.warning("%s: %s %s failed: %s", self.queue, event.type, event.id, error)
            return error
        except Exception as error:
            log.exception("%s: %s %s failed", self.queue, event.type, event.id)
            return error
        finally:
            seconds = time.monotonic() - began
            self._telemetry.handled.labels(self.queue, outcome).observe(seconds)
        return None

    def parked(self, what: str, park: Park) -> None:
        """Tell operators that something was parked."""
        self._telemetry.parked.labels(self.queue).inc()
        log.error("%s: parked %s after %d tries: %s", self.queue, what, park.tries, park.reason)
