"""What a server says, frame by frame (RFC 9113), and what it means for the calls.

What it does wrong with one answer ends that call alone; what makes the rest doubtful is a
ConnectionFault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from shared.unary import frames
from shared.unary.blocks import BLOCK, Blocks
from shared.unary.call import Call
from shared.unary.calls import Calls
from shared.unary.codes import Reset, reset_name
from shared.unary.faults import CallFault, ConnectionFault
from shared.unary.fields import read
from shared.unary.reader import DEAR, Reader, exactly, of_all

DONE: Final = 16.0  # idle frames that an answer is worth


class Incoming(Reader):
    def __init__(self, calls: Calls, clock: Callable[[], float]) -> None:
        super().__init__(calls.calm, calls.replies, calls.out, longest=BLOCK)
        self._calls = calls
        self._clock = clock
        self._blocks = Blocks(calls.calm, read)

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
        exactly(payload, 4)
        call = self._calls.on(stream)
        if call is not None:
            code = frames.number(payload)
            self._calls.settle(call, call.reset(code, reset_name(code), self._clock()))

    def _push_promise(self, flags: int, stream: int, payload: memoryview) -> None:
        raise ConnectionFault(Reset.PROTOCOL_ERROR, "It pushes what nobody asked for.")

    def _goaway(self, flags: int, stream: int, payload: memoryview) -> None:
        self._calm.spend(DEAR)
        of_all(stream)
        if len(payload) < 8:
            raise ConnectionFault(Reset.FRAME_SIZE_ERROR, "Its farewell is cut off.")
        last, name = frames.number(payload) & frames.MOST, reset_name(frames.number(payload, 4))
        self._calls.leave(last, f"It takes no more calls: {name}.")

    def _window_update(self, flags: int, stream: int, payload: memoryview) -> None:
        self._calm.spend()
        exactly(payload, 4)
        call = self._calls.on(stream) if stream else None
        if stream and call is None:
            return
        try:
            self._calls.out.widen(call, frames.number(payload) & frames.MOST)
        except CallFault as fault:
            self._calls.refuse(cast(Call, call), fault)
