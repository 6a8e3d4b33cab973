"""The frames of HTTP/2 (RFC 9113, 4 and 6), as bytes and back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from shared.unary.codes import Reset
from shared.unary.faults import ConnectionFault

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = 9  # bytes before the payload of each
SMALLEST: Final = 1 << 14  # payload that everybody has to take
LONGEST: Final = 1 << 18  # payload that we take
SPLIT: Final = 1 << 12  # bytes of DATA that are worth handing on before the rest is here
MOST: Final = (1 << 31) - 1  # of a window, and of the number of a stream
DEFAULT: Final = (1 << 16) - 1  # of a window, before anything is said
MANY: Final = 64  # settings in one frame; there are seven or so

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WEIGHED: Final = 0x20  # HEADERS begin with a priority

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS = range(1, 4)
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(4, 7)

_HEAD: Final = struct.Struct(">BHBBL")
_NUMBER: Final = struct.Struct(">L")
_SETTING: Final = struct.Struct(">HL")


def head(kind: int, flags: int, stream: int, length: int) -> bytes:
    return _HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return head(kind, flags, stream, len(payload)) + payload


def settings(values: dict[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values.items()))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, _NUMBER.pack(increment))


def reset(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream, _NUMBER.pack(code))


def goaway(code: int, last: int = 0, why: bytes = b"") -> bytes:
    """Streams of the other end's above `last` are not looked at; `why` is for its log."""
    return frame(GOAWAY, 0, 0, _NUMBER.pack(last) + _NUMBER.pack(code) + why)


def number(payload: bytes | memoryview, at: int = 0) -> int:
    return int(_NUMBER.unpack_from(payload, at)[0])


def read_settings(payload: bytes | memoryview, *, push: int = 0) -> dict[int, int]:
    """Each with the last of its values. `push` is the most that ENABLE_PUSH may be: 1 of a client.

    Raises ConnectionFault when one has a value that it can't have, and when there are very many.
    """
    if len(payload) % _SETTING.size:
        raise ConnectionFault(Reset.FRAME_SIZE_ERROR, "Its settings are cut off.")
    if len(payload) > MANY * _SETTING.size:
        raise ConnectionFault(Reset.ENHANCE_YOUR_CALM, "It has too many settings.")
    found: dict[int, int] = {}
    for name, value in _SETTING.iter_unpack(payload):
        found[name] = value
        if name == INITIAL_WINDOW_SIZE and value > MOST:
            raise ConnectionFault(Reset.FLOW_CONTROL_ERROR, "Its initial window is too large.")
        if (name == ENABLE_PUSH and value > push) or (
            name == MAX_FRAME_SIZE and not SMALLEST <= value < 1 << 24
        ):
            raise ConnectionFault(Reset.PROTOCOL_ERROR, "One of its settings is not valid.")
    return found


def unpadded(flags: int, payload: memoryview) -> memoryview:
    """The payload of DATA or HEADERS without padding. Raises ConnectionFault."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(Reset.PROTOCOL_ERROR, "A frame has more padding than room.")
    return payload[1 : len(payload) - payload[0]]


class Frames:
    """Cuts what arrives into frames, of which no more than one is ever kept unfinished.

    DATA that comes in pieces is handed on in pieces, each as a frame of its own: nobody but its
    sender would know.
    """

    def __init__(self, whole: int = LONGEST) -> None:
        """`whole`: the most bytes of a frame that is not handed on in pieces."""
        self._whole = whole
        self._rest = b""
        self._split: tuple[int, int, int] | None = None  # flags, stream and bytes of DATA to come

    @property
    def amid(self) -> bool:
        """A part of a frame is kept until the rest is here."""
        return bool(self._rest)

    def feed(self, data: bytes) -> Iterator[tuple[int, int, int, memoryview]]:
        """Kind, flags, stream and payload of each frame that is whole now.

        Raises ConnectionFault for one that is too long. Has to be read to its end.
        """
        if self._rest:
            data = self._rest + data
        view = memoryview(data)
        at, end = 0, len(data)
        if self._split is not None:
            flags, stream, left = self._split
            if end < min(left, SPLIT):
                self._rest = data
                return
            at = min(left, end)
            last = at == left
            self._split = None if last else (flags, stream, left - at)
            yield DATA, flags if last else flags & ~END_STREAM, stream, view[:at]
        while end - at >= HEAD:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            length = high << 16 | low
            if length > LONGEST or (length > self._whole and (kind != DATA or flags & PADDED)):
                raise ConnectionFault(Reset.FRAME_SIZE_ERROR, "One of its frames is too long.")
            start = at + HEAD
            if end - start < length:
                if kind == DATA and not flags & PADDED and end - start >= SPLIT:
                    self._split = (flags, stream & MOST, length - (end - start))
                    at = end
                    yield DATA, flags & ~END_STREAM, stream & MOST, view[start:end]
                break
            at = start + length
            yield kind, flags, stream & MOST, view[start:at]
        self._rest = data[at:]
