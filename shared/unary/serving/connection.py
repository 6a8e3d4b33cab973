"""One HTTP/2 connection, seen from the server's side: between the transport and the calls.

A client that is to go is told so in two steps (RFC 9113, 6.8): first that it should, then, when it
has certainly heard that, which of its calls was the last to be looked at. So none is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from shared.unary import frames
from shared.unary.codes import Reset
from shared.unary.faults import ConnectionFault
from shared.unary.receiving import CALL, CONNECTION
from shared.unary.serving.calls import Calls
from shared.unary.serving.hall import Hall
from shared.unary.serving.incoming import Incoming
from shared.unary.serving.life import BYE, ECHO, Due, Life
from shared.unary.serving.limits import Limits
from shared.unary.watch import watch

HIGH: Final = 1 << 18  # bytes that wait in the transport before nothing more is given to it
LINGER: Final = 1.0  # seconds that the last words may take
OLD: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"This port speaks gRPC: HTTP/2 without TLS, by prior knowledge.\n"
)


def opening(limits: Limits) -> bytes:
    """What is said to everybody first."""
    return frames.settings(
        {
            frames.MAX_CONCURRENT_STREAMS: limits.streams,
            frames.INITIAL_WINDOW_SIZE: CALL,
            frames.MAX_FRAME_SIZE: frames.LONGEST,
            frames.MAX_HEADER_LIST_SIZE: limits.metadata,
        }
    ) + frames.window_update(0, CONNECTION - frames.DEFAULT)


class Connection(asyncio.Protocol):
    """`made` is told of its beginning, and says whether there is room; `lost` of its end."""

    def __init__(
        self,
        hall: Hall,
        made: Callable[[Connection], bool],
        lost: Callable[[Connection], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.calls = Calls(hall, self._soon)
        self.life = Life(hall.limits, loop.time())
        self._limits = hall.limits
        self._incoming = Incoming(self.calls, self.life, hall.limits)
        self._made = made
        self._lost = lost
        self._loop = loop
        self._first: bytes | None = b""  # of what has to be the preface; None: it was
        self._over = False
        self._due = False  # what waits will be sent
        self._abort: asyncio.TimerHandle | None = None

    # what the server asks

    @property
    def idle(self) -> bool:
        return not self._over and not self.calls.count

    def look(self, now: float) -> None:
        """Do what is due."""
        if self._over:
            return
        incoming = self._incoming
        due = self.life.look(
            now,
            greeted=incoming.greeted,
            amid=incoming.amid,
            seen=incoming.seen,
            calls=self.calls.count,
            last=self.calls.last,
        )
        if due is Due.END:
            self.end(Reset.NO_ERROR, "too slow")
            return
        if due is Due.LEAVE:
            self.leave()
        elif due is Due.FAREWELL:
            self._farewell()
        elif due is Due.ASK:
            self.calls.replies.append(frames.frame(frames.PING, 0, 0, ECHO))
        self.calls.look(now)
        self._flush()

    def leave(self) -> None:
        """Have it end as soon as its calls are over, and the client know that."""
        if self._over or self.life.left is not None:
            return
        if not self._incoming.greeted:
            self.end(Reset.NO_ERROR, "")
            return
        self.life.left = self._loop.time()
        self.calls.replies += (
            frames.goaway(Reset.NO_ERROR, frames.MOST),
            frames.frame(frames.PING, 0, 0, BYE),
        )
        self._flush()

    def end(self, code: Reset, why: str) -> None:
        """At once, with `code` for the client; calls in hand are given up."""
        if self._over:
            return
        last = self.calls.last
        self._over = True
        self.calls.lose()
        words = (*self.calls.replies, frames.goaway(code, last, why.encode()))
        self.calls.replies.clear()
        self._close(b"".join(words))

    # what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH)
        watch(self._transport)
        self.calls.out.paused = False
        if not self._made(self):
            self._over = True
            self._transport.abort()

    def pause_writing(self) -> None:
        """Who doesn't take what we say is not heard, or it would be ever more."""
        self.calls.out.paused = True
        self.life.full = self._loop.time()
        if not self._over and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.calls.out.paused = False
        self.life.full = None
        if not self._over and not self._transport.is_closing():
            self._transport.resume_reading()
            self._flush()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self.life.heard = self._incoming.now = self._loop.time()
        if self._first is not None:
            data = self._preface(data)
            if not data:
                return
        try:
            self._incoming.feed(data)
        except ConnectionFault as fault:
            self.end(fault.code, fault.detail)
            return
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        if self._abort is not None:
            self._abort.cancel()
        self._over = True
        self.calls.lose()
        self._lost(self)

    def _preface(self, data: bytes) -> bytes:
        """What comes after it."""
        first = (self._first or b"") + data
        size = len(frames.PREFACE)
        if first[:size] != frames.PREFACE[: len(first)]:
            self._over = True
            self._close(OLD if first[:1].isalpha() else frames.goaway(Reset.PROTOCOL_ERROR))
        elif len(first) < size:
            self._first = first
        else:
            self._first = None
            self._transport.write(opening(self._limits))
            return first[size:]
        return b""

    def _soon(self) -> None:
        """All that is sent in one turn of the loop goes out together."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what is to be sent."""
        self._due = False
        if self._over:
            return
        replies = self.calls.replies
        if replies:
            self._transport.write(b"".join(replies))
            replies.clear()
        self.calls.out.pump(self._transport)
        if self.life.gone:
            self._farewell()

    def _farewell(self) -> None:
        """The client has heard that it should go: what it opens from now on is not looked at."""
        self.life.gone = True
        if not self.calls.deaf:
            self.calls.deaf = True
            self._transport.write(frames.goaway(Reset.NO_ERROR, self.calls.last))
        if not self.calls.count:
            self._over = True
            self._close(b"")

    def _close(self, words: bytes) -> None:
        """After these words. What the client still says is read, or they might be lost with it."""
        self._transport.write(words)
        if self.calls.out.paused:
            self._transport.resume_reading()
        try:
            self._transport.write_eof()
        except (OSError, RuntimeError):  # the client has gone already
            self._transport.abort()
            return
        self._abort = self._loop.call_later(LINGER, self._transport.abort)
