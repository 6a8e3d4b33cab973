"""What a server says, frame by frame (RFC 9113), and what it means for the calls.

What it does wrong with one answer ends that call alone; what makes the rest doubtful is a
ConnectionFault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from shared.unary import frames
from shared.unary.call import Call
from shared.unary.calls import Calls
from shared.unary.codes import Reset, reset_name
from shared.unary.faults import CallFault, ConnectionFault
from shared.unary.fields import BLOCK, Blocks

PARTS: Final = 16  # frames of one header block
DEAR: Final = 10.0  # what a frame costs that makes us look at all calls
DONE: Final = 16.0  # idle frames that an answer is worth


class Incoming:
    """`greeted`: the server has said that it speaks HTTP/2."""

    def __init__(self, calls: Calls, clock: Callable[[], float]) -> None:
        self.greeted = False
        self._calls = calls
        self._calm = calls.calm
        self._clock = clock
        self._frames = frames.Frames()
        self._blocks = Blocks(calls.calm)
        self._block: tuple[int, int, list[bytes]] | None = None  # stream, flags, what has come
        self._on: dict[int, Callable[[int, int, memoryview], None]] = {
            frames.DATA: self._data,
            frames.HEADERS: self._headers,
            frames.RST_STREAM: self._rst_stream,
            frames.SETTINGS: self._settings,
            frames.PUSH_PROMISE: self._push_promise,
            frames.PING: self._ping,
            frames.GOAWAY: self._goaway,
            frames.WINDOW_UPDATE: self._window_update,
            frames.CONTINUATION: self._continuation,
        }

    def feed(self, data: bytes) -> None:
        """Raises ConnectionFault."""
        for kind, flags, stream, payload in self._frames.feed(data):
            if self._block is not None and kind != frames.CONTINUATION:
                raise ConnectionFault(Reset.PROTOCOL_ERROR, "Its headers break off.")
            if not self.greeted and (kind != frames.SETTINGS or flags & frames.ACK):
                raise ConnectionFault(Reset.PROTOCOL_ERROR, "It does not speak HTTP/2.")
            on = self._on.get(kind)
            if on is None:  # PRIORITY, and what later documents have added
                self._calm.spend()
            else:
                on(flags, stream, payload)

    def _data(self, flags: int, stream: int, payload: memoryview) -> None:
        size = len(payload)
        self._calls.intake.frame(size)
        call = self._calls.on(stream)
        if call is None:
            self._calm.spend()
            self._calls.intake.late(size)
            return
        piece = frames.unpadded(flags, payload)
        self._calm.passed(len(piece))
        try:
            call.ended = bool(flags & frames.END_STREAM)
            self._calls.intake.take(call, piece, size)
            if call.ended:
                raise CallFault("Its answer ended without a status.")
        except CallFault as fault:
            self._calls.refuse(call, fault)

    def _headers(self, flags: int, stream: int, payload: memoryview) -> None:
        if len(payload) > BLOCK:
            raise ConnectionFault(Reset.ENHANCE_YOUR_CALM, "Its headers are too long.")
        block = frames.unpadded(flags, payload)
        if flags & frames.WEIGHED:
            if len(block) < 5:
                raise ConnectionFault(Reset.FRAME_SIZE_ERROR, "Its headers are cut off.")
            block = block[5:]
        if flags & frames.END_HEADERS:
            self._read(flags, stream, bytes(block))
        else:
            self._block = (stream, flags, [bytes(block)])

    def _continuation(self, flags: int, stream: int, payload: memoryview) -> None:
        if self._block is None or self._block[0] != stream:
            raise ConnectionFault(Reset.PROTOCOL_ERROR, "Its headers have no beginning.")
        _, first, parts = self._block
        parts.append(bytes(payload))
        if len(parts) > PARTS or sum(map(len, parts)) > BLOCK:
            raise ConnectionFault(Reset.ENHANCE_YOUR_CALM, "Its headers are too long.")
        if flags & frames.END_HEADERS:
            self._block = None
            self._read(first, stream, b"".join(parts))

    def _read(self, flags: int, stream: int, block: bytes) -> None:
        self._calm.spend()
        fields = self._blocks.decode(block)
        call = self._calls.on(stream)
        if call is None:
            return
        call.ended = bool(flags & frames.END_STREAM)
        try:
            outcome = call.fields(fields)
        except CallFault as fault:
            self._calls.refuse(call, fault)
            return
        if outcome is not None:
            self._calm.earn(DONE)
            if call.unsent:  # it has answered without hearing all
                self._calls.break_off(call, Reset.NO_ERROR, outcome)
            else:
                self._calls.settle(call, outcome)

    def _rst_stream(self, flags: int, stream: int, payload: memoryview) -> None:
        self._calm.spend()
        _exactly(payload, 4)
        call = self._calls.on(stream)
        if call is not None:
            code = frames.number(payload)
            self._calls.settle(call, call.reset(code, reset_name(code), self._clock()))

    def _settings(self, flags: int, stream: int, payload: memoryview) -> None:
        self._calm.spend(DEAR)
        _of_all(stream)
        if flags & frames.ACK:
            _exactly(payload, 0)
            return
        self._calls.out.settings(frames.read_settings(payload))
        self._calls.replies.append(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self.greeted = True

    def _push_promise(self, flags: int, stream: int, payload: memoryview) -> None:
        raise ConnectionFault(Reset.PROTOCOL_ERROR, "It pushes what nobody asked for.")

    def _ping(self, flags: int, stream: int, payload: memoryview) -> None:
        self._calm.spend()
        _of_all(stream)
        _exactly(payload, 8)
        if not flags & frames.ACK:
            self._calls.replies.append(frames.frame(frames.PING, frames.ACK, 0, bytes(payload)))

    def _goaway(self, flags: int, stream: int, payload: memoryview) -> None:
        self._calm.spend(DEAR)
        _of_all(stream)
        if len(payload) < 8:
            raise ConnectionFault(Reset.FRAME_SIZE_ERROR, "Its farewell is cut off.")
        last, name = frames.number(payload) & frames.MOST, reset_name(frames.number(payload, 4))
        self._calls.leave(last, f"It takes no more calls: {name}.")

    def _window_update(self, flags: int, stream: int, payload: memoryview) -> None:
        self._calm.spend()
        _exactly(payload, 4)
        call = self._calls.on(stream) if stream else None
        if stream and call is None:
            return
        try:
            self._calls.out.widen(call, frames.number(payload) & frames.MOST)
        except CallFault as fault:
            self._calls.refuse(cast(Call, call), fault)


def _exactly(payload: memoryview, size: int) -> None:
    if len(payload) != size:
        raise ConnectionFault(Reset.FRAME_SIZE_ERROR, "One of its frames has a wrong size.")


def _of_all(stream: int) -> None:
    if stream:
        raise ConnectionFault(Reset.PROTOCOL_ERROR, "A frame of the connection names a call.")
