"""What is to be sent to a client, in what order, and how much of it now.

An answer is a head, its message, and trailers. One that is small, when nothing else waits, is sent
at once; others have frames of theirs sent in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from shared.unary.calm import Calm
from shared.unary.frames import END_HEADERS, END_STREAM, HEADERS, SMALLEST, head
from shared.unary.sending import Pieces, Sending
from shared.unary.serving.call import Call
from shared.unary.serving.told import DONE, HEAD

_LAST: Final = END_HEADERS | END_STREAM


class Outgoing(Sending[Call]):
    """`sent` is called with each call whose answer is all sent."""

    def __init__(
        self, calls: Mapping[int, Call], calm: Calm, sent: Callable[[Call, Pieces], None]
    ) -> None:
        super().__init__(calls, calm)
        self._sent = sent

    @property
    def initial(self) -> int:
        """The window that a new call has."""
        return self._initial

    def begin(self, call: Call, pieces: Pieces) -> bool:
        """Its answer is here. True: it is in `pieces`; False: it has to wait."""
        size = call.unsent
        free = not self.paused and not self._sending
        if free and size <= min(self._window, call.window, SMALLEST):
            self._send(call, pieces)
            return True
        if call.window > 0:
            self._sending.append(call)
        return False

    def _send(self, call: Call, pieces: Pieces, last: int = 0) -> int:
        if call.unsent == call.size:
            pieces += (head(HEADERS, END_HEADERS, call.stream, len(HEAD)), HEAD)
        size = super()._send(call, pieces)
        if not call.unsent:
            pieces += (head(HEADERS, _LAST, call.stream, len(DONE)), DONE)
            self._sent(call, pieces)
        return size
