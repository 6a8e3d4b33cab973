"""An event loop in virtual time: sleeping takes none, and the same seed runs the same way.

Whatever can run runs first. Then, if a statement is on its way to PostgreSQL, its answer is awaited
for real, with the time standing still; there is one at a time (`outside` says so), so answers have
no order to come in but that in which they were asked for. Only when nothing runs and nothing is
asked does the time jump, to the moment of the next timer.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

ANSWER: Final = 60.0  # real seconds in which the world outside must answer


class Stuck(Exception):
    """Nothing runs, nothing is asked, and nobody waits for a moment to come."""


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.asked = 0
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What is awaited inside comes from the world outside, in its own time."""
        self.asked += 1
        try:
            yield
        finally:
            self.asked -= 1

    def begin(self) -> None:
        """Be at 0 again, when nothing waits for a moment to come."""
        self._scheduled = [each for each in self._scheduled if not each.cancelled()]  # type: ignore[has-type]
        assert not self._scheduled, self._scheduled
        self._now = 0.0

    def jump(self) -> None:
        """To the next timer."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not timers:
            raise Stuck
        self._now = max(self._now, timers[0].when())


class _Jumping(selectors.BaseSelector):
    """Waits for sockets while something is asked outside, and else lets the time jump."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return []  # something can run: how soon an answer comes must not matter to it
        if self._loop.asked:
            found = self._real.select(ANSWER)
            if not found:
                raise TimeoutError(f"the world outside did not answer in {ANSWER:g} s")
            return found
        self._loop.jump()
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()
