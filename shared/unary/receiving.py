"""The window of a connection by which the other end may send to us.

It is given back at once, so one slow call never stops the others, and nobody can overrun it.
"""

from __future__ import annotations

from typing import Final

from shared.unary.codes import Reset
from shared.unary.faults import ConnectionFault
from shared.unary.frames import window_update
from shared.unary.sending import Pieces

CONNECTION: Final = 1 << 24
CALL: Final = 1 << 20  # of each call, to begin with


class Receiving:
    """Frames that are to be sent for it are appended to `replies`."""

    def __init__(self, replies: Pieces) -> None:
        self._replies = replies
        self._taken = 0
        self._late = 0  # bytes that may still come of calls which we broke off

    def frame(self, size: int) -> None:
        """The size of any DATA, padding and all."""
        self._taken += size
        if self._taken >= CONNECTION // 2:
            self._replies.append(window_update(0, self._taken))
            self._taken = 0

    def late(self, size: int) -> None:
        """DATA of a call that is over. Raises ConnectionFault when that can't be any more."""
        self._late -= size
        if self._late < 0:
            raise ConnectionFault(Reset.STREAM_CLOSED, "It goes on after the end of a call.")
