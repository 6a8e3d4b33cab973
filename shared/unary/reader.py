"""What the other end says, frame by frame (RFC 9113), as far as both ends read it alike.

Clients and servers say what the other kinds mean to them; PRIORITY, and what later documents have
added, is ignored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from shared.unary import frames
from shared.unary.calm import Calm
from shared.unary.codes import Reset
from shared.unary.faults import ConnectionFault
from shared.unary.sending import Pieces, Sending

PARTS: Final = 16  # frames of one header block
DEAR: Final = 10.0  # what a frame costs that makes us look at all calls

On = Callable[[int, int, memoryview], None]  # flags, stream, payload


class Reader(ABC):
    """`greeted`: the other end has said that it speaks HTTP/2. `seen` counts its frames. `longest`
    is the most bytes of a header block, `whole` those of a frame that has to be here whole, and
    `push` the most that its ENABLE_PUSH may be. What it takes from now on, `out` is told."""

    def __init__(
        self,
        calm: Calm,
        replies: Pieces,
        out: Sending[Any],
        *,
        longest: int,
        whole: int = frames.LONGEST,
        push: int = 0,
    ) -> None:
        self.greeted = False
        self.seen = 0
        self._calm = calm
        self._replies = replies
        self._out = out
        self._longest = longest
        self._push = push
        self._frames = frames.Frames(whole)
        self._block: tuple[int, int, list[bytes]] | None = None  # stream, flags, what has come
        self._on: dict[int, On] = {
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

    @property
    def amid(self) -> bool:
        """A part of a frame or a header block is kept until the rest is here."""
        return self._frames.amid or self._block is not None

    def feed(self, data: bytes) -> None:
        """Raises ConnectionFault."""
        for kind, flags, stream, payload in self._frames.feed(data):
            if self._block is not None and kind != frames.CONTINUATION:
                raise ConnectionFault(Reset.PROTOCOL_ERROR, "Its headers break off.")
            if not self.greeted and (kind != frames.SETTINGS or flags & frames.ACK):
                raise ConnectionFault(Reset.PROTOCOL_ERROR, "It does not speak HTTP/2.")
            self.seen += 1
            on = self._on.get(kind)
            if on is None:
                self._calm.spend()
            else:
                on(flags, stream, payload)

    def _headers(self, flags: int, stream: int, payload: memoryview) -> None:
        if len(payload) > self._longest:
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
        if len(parts) > PARTS or sum(map(len, parts)) > self._longest:
            raise ConnectionFault(Reset.ENHANCE_YOUR_CALM, "Its headers are too long.")
        if flags & frames.END_HEADERS:
            self._block = None
            self._read(first, stream, b"".join(parts))

    def _settings(self, flags: int, stream: int, payload: memoryview) -> None:
        self._calm.spend(DEAR)
        of_all(stream)
        if flags & frames.ACK:
            exactly(payload, 0)
            return
        self._out.settings(frames.read_settings(payload, push=self._push))
        self._replies.append(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self.greeted = True

    def _ping(self, flags: int, stream: int, payload: memoryview) -> None:
        self._calm.spend()
        of_all(stream)
        exactly(payload, 8)
        if not flags & frames.ACK:
            self._replies.append(frames.frame(frames.PING, frames.ACK, 0, bytes(payload)))

    @abstractmethod
    def _data(self, flags: int, stream: int, payload: memoryview) -> None: ...

    @abstractmethod
    def _read(self, flags: int, stream: int, block: bytes) -> None:
        """A whole header block."""

    @abstractmethod
    def _rst_stream(self, flags: int, stream: int, payload: memoryview) -> None: ...

    @abstractmethod
    def _push_promise(self, flags: int, stream: int, payload: memoryview) -> None: ...

    @abstractmethod
    def _goaway(self, flags: int, stream: int, payload: memoryview) -> None: ...

    @abstractmethod
    def _window_update(self, flags: int, stream: int, payload: memoryview) -> None: ...


def exactly(payload: memoryview, size: int) -> None:
    if len(payload) != size:
        raise ConnectionFault(Reset.FRAME_SIZE_ERROR, "One of its frames has a wrong size.")


def of_all(stream: int) -> None:
    if stream:
        raise ConnectionFault(Reset.PROTOCOL_ERROR, "A frame of the connection names a call.")
