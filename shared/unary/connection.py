"""One HTTP/2 connection, seen from the client's side: between the transport and the calls."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from shared.dial import Failed, Trouble
from shared.unary import frames
from shared.unary.blocks import LIST
from shared.unary.call import Call
from shared.unary.calls import Calls
from shared.unary.codes import Reset
from shared.unary.faults import ConnectionFault
from shared.unary.incoming import Incoming
from shared.unary.limits import Limits
from shared.unary.receiving import CALL, CONNECTION
from shared.unary.watch import watch

HIGH: Final = 1 << 18  # bytes that wait in the transport before no more messages are given to it
LINGER: Final = 1.0  # seconds that the last words may take

_OPENING: Final = (
    frames.PREFACE
    + frames.settings(
        {
            frames.ENABLE_PUSH: 0,
            frames.INITIAL_WINDOW_SIZE: CALL,
            frames.MAX_FRAME_SIZE: frames.LONGEST,
            frames.MAX_HEADER_LIST_SIZE: LIST,
        }
    )
    + frames.window_update(0, CONNECTION - frames.DEFAULT)
)


class Connection(asyncio.Protocol):
    """`ready` ends once the server has said that it speaks HTTP/2, or fails."""

    def __init__(self, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.calls = Calls(limits)
        self._loop = loop
        self._incoming = Incoming(self.calls, loop.time)
        self._over = False
        self._soon = False  # what waits will be sent
        self._abort: asyncio.TimerHandle | None = None

    # what the channel asks

    def send(self, call: Call) -> None:
        """Soon: all that is sent in one turn of the loop goes out together."""
        self.calls.out.waiting[call] = None
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self._pump)

    def drop(self, call: Call) -> None:
        """Nobody waits for it any more. What is over already may be dropped, too."""
        if call in self.calls:
            gone = call.lost(Trouble.DROPPED, "It was given up.")
            self.calls.break_off(call, Reset.CANCEL, gone)
            self._flush()

    def expire(self, call: Call) -> None:
        """Its deadline has come."""
        if call in self.calls:
            late = call.lost(Trouble.SILENT, "It did not answer in time.")
            self.calls.break_off(call, Reset.CANCEL, late)
            self._flush()

    def retire(self) -> None:
        """Close once the last call is over."""
        self.calls.closing = True
        if not self.calls:
            self.end(Reset.NO_ERROR, Trouble.DROPPED, "The connection was closed.")

    def end(self, code: Reset, trouble: Trouble, detail: str) -> None:
        """Close, with `code` for the server and the rest for all calls."""
        if self._over:
            return
        self._transport.write(b"".join((*self.calls.replies, frames.goaway(code))))
        self._transport.close()
        self._abort = self._loop.call_later(LINGER, self._transport.abort)
        self._lose(trouble, detail)

    # what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH)
        watch(self._transport)
        self._transport.write(_OPENING)

    def pause_writing(self) -> None:
        self.calls.out.paused = True

    def resume_writing(self) -> None:
        self.calls.out.paused = not self._incoming.greeted
        self._pump()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        try:
            self._incoming.feed(data)
        except ConnectionFault as fault:
            self.end(fault.code, Trouble.BAD, fault.detail)
            return
        if self._incoming.greeted and not self.ready.done():
            self.calls.out.paused = False
            self.ready.set_result(None)
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        if self._abort is not None:
            self._abort.cancel()
        if not self._over:
            self._lose(Trouble.DROPPED, "It closed the connection.")

    def _pump(self) -> None:
        self._soon = False
        if not self._over:
            self.calls.out.pump(self._transport)

    def _flush(self) -> None:
        """Send what is to be sent."""
        if self._over:
            return
        if self.calls.replies:
            self._transport.write(b"".join(self.calls.replies))
            self.calls.replies.clear()
        self.calls.out.pump(self._transport)
        if self.calls.closing:
            self.retire()

    def _lose(self, trouble: Trouble, detail: str) -> None:
        self._over = True
        if not self.ready.done():
            self.ready.set_exception(Failed(trouble, detail, safe=True))
            self.ready.exception()  # nobody may be left who waits for it
        self.calls.lose(trouble, detail)
        self.calls.replies.clear()
