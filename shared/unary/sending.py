"""What may be sent of messages, and in what order, under the windows of who takes them.

Of messages that don't fit at once each gets a frame in turn, so that a large one doesn't hold up
the small ones.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final, Generic, Protocol, TypeVar

from shared.unary.calm import Calm
from shared.unary.codes import Reset
from shared.unary.faults import CallFault, ConnectionFault
from shared.unary.frames import (
    DATA,
    DEFAULT,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    MOST,
    SMALLEST,
    head,
)

ROUND: Final = 1 << 17  # bytes that are given to the transport at a time

Pieces = list[bytes | memoryview]


class Sent(Protocol):
    """`unsent` are bytes of its message, and `window` how many of them may be sent now."""

    stream: int
    window: int

    @property
    def unsent(self) -> int: ...

    def payload(self, size: int) -> tuple[bytes | memoryview, ...]:
        """The next `size` bytes to send, of which there are as many."""


Call = TypeVar("Call", bound=Sent)


class Sending(Generic[Call]):
    """`calls` are those that are open. `paused` while the transport is full."""

    def __init__(self, calls: Mapping[int, Call], calm: Calm) -> None:
        self.paused = True
        self._calls = calls
        self._calm = calm
        self._window = DEFAULT  # of the connection
        self._initial = DEFAULT  # of each call
        self._longest = SMALLEST  # payload of a frame
        self._sending: deque[Call] = deque()  # they may send, and have something to

    def pump(self, transport: asyncio.WriteTransport) -> None:
        """Give the transport all that may be sent and that it takes."""
        while not self.paused:
            pieces: Pieces = []
            size = 0
            while size < ROUND and (more := self._next(pieces)):
                size += more
            if not pieces:
                return
            transport.write(b"".join(pieces))

    def _next(self, pieces: Pieces) -> int:
        """Add the next frame; how many bytes that is, and 0 when there is none to send now."""
        if not self._sending or self._window <= 0:
            return 0
        call = self._sending.popleft()
        size = self._send(call, pieces)
        if call.unsent and call.window > 0:
            self._sending.append(call)
        return size

    def _send(self, call: Call, pieces: Pieces, last: int = 0) -> int:
        """A frame of its message, with the flags `last` if it is the last."""
        size = min(call.unsent, self._window, call.window, self._longest)
        payload = call.payload(size)
        call.window -= size
        self._window -= size
        flags = 0 if call.unsent else last
        pieces += (head(DATA, flags, call.stream, size), *payload)
        return size

    def drop(self, call: Call) -> None:
        """It is over, whatever was left to send."""
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

    def settings(self, found: Mapping[int, int]) -> None:
        """What the other end takes from now on. Raises ConnectionFault."""
        self._longest = min(found.get(MAX_FRAME_SIZE, self._longest), ROUND)
        initial = found.get(INITIAL_WINDOW_SIZE, self._initial)
        change, self._initial = initial - self._initial, initial
        if not change:
            return
        for call in self._calls.values():
            self._shift(call, change)
            if call.window > MOST:
                raise ConnectionFault(Reset.FLOW_CONTROL_ERROR, "Its window is too large.")

    def _shift(self, call: Call, change: int) -> None:
        before = call.window
        call.window += change
        if call.unsent:
            if before <= 0 < call.window:
                self._sending.append(call)
            elif before > 0 >= call.window:
                self._sending.remove(call)
