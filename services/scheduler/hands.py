"""Carries out steps: one at a time for each replica, some at once, and again later after trouble.

A slow stop of one replica holds up nobody else, and a start never waits for another's stop. A
replica that is in hand is left alone by whoever decides: what was seen of it is already old.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from services.scheduler.driver import Replica
from shared.errors import Transient

log = logging.getLogger(__name__)

FIRST: Final = 0.5
LONGEST: Final = 30.0


Work = Callable[[], Awaitable[None]]


class Later(Transient):
    """It is too early, and no trouble: look again after so many seconds."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Hands:
    def __init__(self, done: Callable[[], None], *, first: float = FIRST) -> None:
        self._done = done  # told after each step, as it may have made the next one possible
        self._first = first
        self._tasks: dict[Replica, asyncio.Task[None]] = {}
        self._tries: dict[tuple[Replica, str], int] = {}
        self._not_before: dict[tuple[Replica, str], float] = {}

    @property
    def busy(self) -> Collection[Replica]:
        """Replicas that something is done with."""
        return self._tasks.keys()

    def begin(self, replica: Replica, name: str, step: Work, at_once: asyncio.Semaphore) -> None:
        """Carry out `step` as soon as `at_once` has room, unless it is too soon after trouble.

        Steps of one `name` wait for one another's trouble; a stop never waits for a start's.
        """
        assert replica not in self._tasks, replica
        if self._not_before.get((replica, name), 0.0) > asyncio.get_running_loop().time():
            return
        task = asyncio.create_task(self._perform(replica, name, step, at_once), name=str(replica))
        self._tasks[replica] = task
        task.add_done_callback(lambda _: self._end(replica))

    async def drain(self) -> None:
        """Returns when nothing is in hand."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def drop(self) -> None:
        """Cancel what is in hand, and return when that has ended."""
        for task in self._tasks.values():
            task.cancel()
        await self.drain()

    def forget(self, alive: Collection[Replica]) -> None:
        """Trouble with what is no longer there need not be remembered."""
        for key in [key for key in self._not_before if key[0] not in alive]:
            del self._not_before[key]
            self._tries.pop(key, None)

    async def _perform(
        self, replica: Replica, name: str, step: Work, at_once: asyncio.Semaphore
    ) -> None:
        try:
            async with at_once:
                await step()
        except Later as error:
            log.debug("%s of %s: %s", name, replica, error)
            self._rest(replica, name, error.seconds)
        except Transient as error:
            log.warning("%s of %s: will try again: %s", name, replica, error)
            self._wait(replica, name)
        except Exception:  # guarded: a fault in one job's step must not stop all other jobs
            log.exception("%s of %s: will try again", name, replica)
            self._wait(replica, name)
        else:
            self._tries.pop((replica, name), None)
            self._not_before.pop((replica, name), None)

    def _wait(self, replica: Replica, name: str) -> None:
        key = (replica, name)
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        seconds = min(LONGEST, self._first * 2.0 ** min(tries - 1, 16))
        self._rest(replica, name, seconds * random.uniform(0.5, 1.0))

    def _rest(self, replica: Replica, name: str, seconds: float) -> None:
        self._not_before[replica, name] = asyncio.get_running_loop().time() + seconds

    def _end(self, replica: Replica) -> None:
        del self._tasks[replica]
        self._done()
