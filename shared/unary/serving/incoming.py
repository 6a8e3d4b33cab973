"""What a client says, frame by frame (RFC 9113), and what it means for the calls.

What it does wrong with one call ends that call alone; what makes the rest doubtful is a
ConnectionFault.
"""

from __future__ import annotations

from typing import Final, cast

from shared.unary import frames
from shared.unary.blocks import Blocks
from shared.unary.codes import Code, Reset
from shared.unary.faults import CallFault, ConnectionFault
from shared.unary.message import Compressed, TooLarge
from shared.unary.reader import Reader, exactly, of_all
from shared.unary.serving.asked import IDENTITY, reader
from shared.unary.serving.call import Call
from shared.unary.serving.calls import Calls
from shared.unary.serving.life import Life
from shared.unary.serving.limits import Limits
from shared.unary.serving.refused import Refused

RAPID: Final = 0.5  # seconds; a call that is given up sooner ...
HASTE: Final = 3.0  # ... costs as much as so many idle frames

_COMPRESSED: Final = Refused(
    Code.UNIMPLEMENTED, "Messages that are compressed are not taken", IDENTITY
)


class Incoming(Reader):
    """`now` is the moment at which what is fed came."""

    def __init__(self, calls: Calls, life: Life, limits: Limits) -> None:
        hard = max(2 * limits.metadata, frames.SMALLEST)
        super().__init__(calls.calm, calls.replies, calls.out, longest=hard, whole=hard, push=1)
        self.now = 0.0
        self._calls = calls
        self._life = life
        self._limits = limits
        self._blocks = Blocks(calls.calm, reader(limits.metadata), hard)

    def _data(self, flags: int, stream: int, payload: memoryview) -> None:
        size = len(payload)
        calls = self._calls
        calls.intake.frame(size)
        call = calls.on(stream)
        if call is None:
            self._calm.spend()
            calls.intake.late(size)
            return
        piece = frames.unpadded(flags, payload)
        self._calm.passed(len(piece))
        try:
            if call.ended:
                raise CallFault("It goes on after its end.", Reset.STREAM_CLOSED)
            call.ended = bool(flags & frames.END_STREAM)
            calls.intake.take(call, piece, size)
            calls.heard(call)
        except Refused as refused:
            calls.refuse(call, refused)
        except TooLarge as fault:
            text = f"The message has {fault.size} bytes; {self._limits.message} are taken at most"
            calls.refuse(call, Refused(Code.RESOURCE_EXHAUSTED, text))
        except Compressed:
            calls.refuse(call, _COMPRESSED)
        except CallFault as fault:
            calls.reset(call, fault.code)

    def _read(self, flags: int, stream: int, block: bytes) -> None:
        self._calm.spend()
        asked = self._blocks.decode(block)
        ended = bool(flags & frames.END_STREAM)
        if not stream & 1:
            raise ConnectionFault(Reset.PROTOCOL_ERROR, "It opens what is ours to open.")
        if stream > self._calls.last:
            self._calls.begin(stream, asked, self.now, ended=ended)
            return
        call = self._calls.on(stream)
        if call is None:
            return
        if call.ended or not ended:
            self._calls.reset(call, Reset.PROTOCOL_ERROR)
            return
        call.ended = True
        self._calls.heard(call)

    def _rst_stream(self, flags: int, stream: int, payload: memoryview) -> None:
        exactly(payload, 4)
        call = self._calls.on(stream)
        haste = call is None or self.now - call.since < RAPID
        self._calm.spend(HASTE if haste else 1)
        if call is not None:
            call.ended = True
            self._calls.drop(call)

    def _push_promise(self, flags: int, stream: int, payload: memoryview) -> None:
        raise ConnectionFault(Reset.PROTOCOL_ERROR, "It promises what only servers can.")

    def _ping(self, flags: int, stream: int, payload: memoryview) -> None:
        super()._ping(flags, stream, payload)
        if flags & frames.ACK:
            self._life.echoed(bytes(payload))
        else:
            if self._calls.spoke:
                self._calls.spoke = False
                self._life.spoke()
            self._life.pinged(self.now)

    def _goaway(self, flags: int, stream: int, payload: memoryview) -> None:
        """It takes nothing from us that we would ask of it."""
        self._calm.spend()
        of_all(stream)
        if len(payload) < 8:
            raise ConnectionFault(Reset.FRAME_SIZE_ERROR, "Its farewell is cut off.")

    def _window_update(self, flags: int, stream: int, payload: memoryview) -> None:
        self._calm.spend()
        exactly(payload, 4)
        call = self._calls.on(stream) if stream else None
        if stream and call is None:
            return
        try:
            self._calls.out.widen(call, frames.number(payload) & frames.MOST)
        except CallFault as fault:
            self._calls.reset(cast(Call, call), fault.code)
