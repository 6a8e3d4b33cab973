"""How many requests an endpoint works on at once, and how many may wait for a place, for how long.
Each of its copies has as many places as the endpoint's owner says.

A place is handed straight from the one who leaves to the one who has waited longest, so nobody
overtakes and no place is free while somebody waits. Whoever is cancelled while a place is being
handed over passes it on: a place can't be lost.
"""

from __future__ import annotations

import asyncio
import math
import time
from types import TracebackType
from typing import Final

from shared.endpoint import Serving

SMOOTHING: Final = 0.2  # weight of the newest service time in the average
LONGEST_HINT: Final = 30


class Gate:
    def __init__(self, serving: Serving) -> None:
        self.inside = 0
        self.asked = 0  # how often a place was asked for, ever ...
        self.turned_away = 0  # ... and in vain
        self.places = serving.concurrency
        self._each = serving.concurrency
        self._waiting = serving.waiting
        self._seconds = serving.wait_seconds
        self._queue: dict[asyncio.Future[bool], None] = {}  # in order of arrival
        self._service = 0.0  # seconds a request takes, smoothed

    @property
    def idle(self) -> bool:
        return self.inside == 0 and not self._queue

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def seconds(self) -> float:
        """That a request of late takes inside; 0: none has ended yet."""
        return self._service

    @property
    def retry_after(self) -> int:
        """Seconds after which a place may be free: what is ahead, at the pace of late."""
        ahead = (len(self._queue) + 1) * self._service / self.places
        return max(1, min(LONGEST_HINT, math.ceil(ahead)))

    def slot(self) -> Slot:
        """`async with gate.slot() as admitted:` holds a place inside, if `admitted`."""
        return Slot(self)

    async def enter(self) -> bool:
        self.asked += 1
        if self.inside < self.places:  # then nobody waits
            self.inside += 1
            return True
        if len(self._queue) >= self._waiting or self._seconds <= 0:
            return False
        return await self._wait()

    def resize(self, copies: int) -> None:
        """There are so many copies now. Without any, places are kept for the one that will come."""
        self.places = self._each * max(1, copies)
        while self._queue and self.inside < self.places:
            self.inside += 1
            self._hand_on()

    async def _wait(self) -> bool:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._queue[turn] = None
        timer = loop.call_later(self._seconds, self._expire, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self._hand_on()
            raise
        finally:
            timer.cancel()
            self._queue.pop(turn, None)

    def leave(self, seconds: float) -> None:
        """Give the place back after `seconds` inside."""
        self._service += SMOOTHING * (seconds - self._service)
        self._hand_on()

    def _hand_on(self) -> None:
        while self._queue and self.inside <= self.places:
            turn = next(iter(self._queue))
            del self._queue[turn]
            if not turn.done():
                turn.set_result(True)
                return
        self.inside -= 1

    def _expire(self, turn: asyncio.Future[bool]) -> None:
        self._queue.pop(turn, None)
        if not turn.done():
            turn.set_result(False)


class Slot:
    __slots__ = ("_admitted", "_gate", "_since")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._admitted = False
        self._since = 0.0

    async def __aenter__(self) -> bool:
        self._admitted = await self._gate.enter()
        self._gate.turned_away += not self._admitted
        self._since = time.monotonic()
        return self._admitted

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._admitted:
            self._gate.leave(time.monotonic() - self._since)
