"""What is to be sent to a server, in what order, and how much of it now.

Calls wait until the server may be asked one more, then have their headers and as much of their
message sent as the windows let through.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.unary.call import Call
from shared.unary.calm import Calm
from shared.unary.frames import (
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_CONCURRENT_STREAMS,
    SMALLEST,
    head,
)
from shared.unary.limits import Limits
from shared.unary.literals import NO_TABLE
from shared.unary.receiving import CALL
from shared.unary.sending import Pieces, Sending


class Outgoing(Sending[Call]):
    """`calls` are those that were sent and are not over. `paused` until the server has said what it
    takes, too."""

    def __init__(self, calls: dict[int, Call], limits: Limits, calm: Calm) -> None:
        super().__init__(calls, calm)
        self.waiting: dict[Call, None] = {}  # nothing was sent of them
        self.last = -1  # number of the stream that was opened last
        self._open = calls
        self._at_once = self._limit = limits.at_once
        self._last = 2 * limits.calls - 1

    @property
    def spent(self) -> bool:
        """There are no numbers left for calls."""
        return self.last + 2 * len(self.waiting) >= self._last

    def _next(self, pieces: Pieces) -> int:
        if self.waiting and len(self._open) < self._limit:
            call = next(iter(self.waiting))
            del self.waiting[call]
            return self._begin(call, pieces)
        return super()._next(pieces)

    def _begin(self, call: Call, pieces: Pieces) -> int:
        first = self.last < 0
        self.last += 2
        call.stream = self.last
        call.window, call.credit = self._initial, CALL
        self._open[call.stream] = call
        block = NO_TABLE + call.block if first else call.block
        pieces += (head(HEADERS, END_HEADERS, call.stream, len(block)), block)
        if not self._sending and 0 < call.unsent <= min(self._window, call.window, SMALLEST):
            return len(block) + self._send(call, pieces)
        if call.window > 0:
            self._sending.append(call)
        return len(block)

    def _send(self, call: Call, pieces: Pieces, last: int = END_STREAM) -> int:
        size = super()._send(call, pieces, last)
        self._calm.passed(size)
        return size

    def drop(self, call: Call) -> None:
        self.waiting.pop(call, None)
        super().drop(call)

    def settings(self, found: Mapping[int, int]) -> None:
        self._limit = min(found.get(MAX_CONCURRENT_STREAMS, self._limit), self._at_once)
        super().settings(found)
