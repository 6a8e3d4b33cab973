"""How much a server may talk without saying anything.

PING, SETTINGS, empty frames and the like are a part of HTTP/2, but each costs us something and the
server nothing. What it does of real work earns it more of them, and so does time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from shared.unary.codes import Reset
from shared.unary.faults import ConnectionFault

BURST: Final = 2000.0  # idle frames at once
RATE: Final = 200.0  # idle frames a second
PAYS: Final = 256  # bytes that pass, in either direction, for each


class Calm:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = BURST
        self._since = clock()

    def spend(self, cost: float = 1.0) -> None:
        """A frame that moves nothing. Raises ConnectionFault when there were too many."""
        self._left -= cost
        if self._left < 0:
            now = self._clock()
            self.earn((now - self._since) * RATE)
            self._since = now
            if self._left < 0:
                raise ConnectionFault(Reset.ENHANCE_YOUR_CALM, "It floods the connection.")

    def earn(self, frames: float) -> None:
        self._left = min(BURST, self._left + frames)

    def passed(self, size: int) -> None:
        """A frame with so many bytes of a message."""
        self.spend(1 - size / PAYS) if size < PAYS else self.earn(size / PAYS - 1)
