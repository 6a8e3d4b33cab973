"""What is to be sent, in what order, and how much of it now.

Calls wait until the server may be asked one more, then have their headers and as much of their
message sent as the windows let through; of messages that don't fit at once each gets a frame in
turn, so that a large one doesn't hold up the small ones.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from shared.unary.call import Call
from shared.unary.calm import Calm
from shared.unary.codes import Reset
from shared.unary.faults import CallFault, ConnectionFault
from shared.unary.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MOST,
    SMALLEST,
    head,
)
from shared.unary.intake import CALL, DEFAULT
from shared.unary.limits import Limits
from shared.unary.request import NO_TABLE

ROUND: Final = 1 << 17  # bytes that are given to the transport at a time

Pieces = list[bytes | memoryview]


class Outgoing:
    """`calls` are those that were sent and are not over. `paused` while the transport is full."""

    def __init__(self, calls: dict[int, Call], limits: Limits, calm: Calm) -> None:
        self.paused = True  # until the server has said what it takes
        self.waiting: dict[Call, None] = {}  # nothing was sent of them
        self.last = -1  # number of the stream that was opened last
        self._calls = calls
        self._calm = calm
        self._at_once = self._limit = limits.at_once
        self._last = 2 * limits.calls - 1
        self._window = DEFAULT  # of the connection
        self._initial = DEFAULT  # of each call
        self._longest = SMALLEST  # payload of a frame
        self._sending: deque[Call] = deque()  # they may send, and have something to

    @property
    def spent(self) -> bool:
        """There are no numbers left for calls."""
        return self.last + 2 * len(self.waiting) >= self._last

    def pump(self, transport: asyncio.WriteTransport) -> None:
        """Give the transport all that may be sent and that it takes."""
        while not self.paused:
            pieces = self._round()
            if not pieces:
                return
            transport.write(b"".join(pieces))

    def _round(self) -> Pieces:
        pieces: Pieces = []
        size = 0
        while size < ROUND:
            if self.waiting and len(self._calls) < self._limit:
                call = next(iter(self.waiting))
                del self.waiting[call]
                size += self._open(call, pieces)
            elif self._sending and self._window > 0:
                call = self._sending.popleft()
                size += self._send(call, pieces)
                if call.unsent and call.window > 0:
                    self._sending.append(call)
            else:
                break
        return pieces

    def _open(self, call: Call, pieces: Pieces) -> int:
        first = self.last < 0
        self.last += 2
        call.stream = self.last
        call.window, call.credit = self._initial, CALL
        self._calls[call.stream] = call
        block = NO_TABLE + call.block if first else call.block
        pieces += (head(HEADERS, END_HEADERS, call.stream, len(block)), block)
        if not self._sending and 0 < call.unsent <= min(self._window, call.window, SMALLEST):
            return len(block) + self._send(call, pieces)
        if call.window > 0:
            self._sending.append(call)
        return len(block)

    def _send(self, call: Call, pieces: Pieces) -> int:
        size = min(call.unsent, self._window, call.window, self._longest)
        payload = call.payload(size)
        call.window -= size
        self._window -= size
        self._calm.passed(size)
        flags = 0 if call.unsent else END_STREAM
        pieces += (head(DATA, flags, call.stream, size), *payload)
        return size

    def drop(self, call: Call) -> None:
        """It is over, whatever was left to send."""
        self.waiting.pop(call, None)
        if call.unsent and call in self._sending:
            self._sending.remove(call)

    def widen(self, call: Call | None, increment: int) -> None:
        """WINDOW_UPDATE of a call, or of the connection. Raises ConnectionFault and CallFault."""
        if call is None:
            if not increment:
                raise ConnectionFault(Reset.PROTOCOL_ERROR, "It widens the window by nothing.")
            self._window += increment
            if self._window > MOST:
                raise ConnectionFault(Reset.FLOW_CONTROL_ERROR, "Its window is too large.")
            return
        if not increment:
            raise CallFault("It widens the window by nothing.")
        self._shift(call, increment)
        if call.window > MOST:
            raise CallFault("Its window is too large.", Reset.FLOW_CONTROL_ERROR)

    def settings(self, found: list[tuple[int, int]]) -> None:
        """What the server takes from now on. Raises ConnectionFault."""
        for name, value in found:
            if name == MAX_CONCURRENT_STREAMS:
                self._limit = min(value, self._at_once)
            elif name == MAX_FRAME_SIZE:
                self._longest = min(value, ROUND)
            elif name == INITIAL_WINDOW_SIZE:
                change, self._initial = value - self._initial, value
                for call in self._calls.values():
                    self._shift(call, change)
                    if call.window > MOST:
                        detail = "Its window is too large."
                        raise ConnectionFault(Reset.FLOW_CONTROL_ERROR, detail)

    def _shift(self, call: Call, change: int) -> None:
        before = call.window
        call.window += change
        if call.unsent:
            if before <= 0 < call.window:
                self._sending.append(call)
            elif before > 0 >= call.window:
                self._sending.remove(call)
