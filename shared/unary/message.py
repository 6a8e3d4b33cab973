"""The one message each way: a byte that says whether it is compressed, its length, itself."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Final

from shared.unary.codes import Reset
from shared.unary.faults import CallFault

PREFIX: Final = 5
LONGEST: Final = (1 << 32) - 1
COPIED: Final = 1 << 24  # bytes up to which a copy costs less than not to need one

_PREFIX: Final = struct.Struct(">?L")


def prefix(size: int) -> bytes:
    """Raises ValueError for a message that is too long for any call."""
    if size > LONGEST:
        raise ValueError(f"the message is too long: {size} bytes, {LONGEST} at most")
    return _PREFIX.pack(False, size)


class Compressed(CallFault):
    """How large it will be is known only when it is."""


class TooLarge(CallFault):
    """It has `size` bytes, and none of them was kept."""

    def __init__(self, size: int, limit: int) -> None:
        detail = f"Its answer has {size} bytes; {limit} are taken at most."
        super().__init__(detail, Reset.CANCEL)
        self.size = size


class Message:
    """`whole` is the message, once it is; `held` the bytes that are kept of it until then, and
    `left` those to come, or -1 as long as that is not known. What follows it is dropped if there
    may be `more`."""

    __slots__ = ("_body", "_limit", "_more", "_start", "held", "left", "whole")

    def __init__(self, limit: int, *, more: bool = False) -> None:
        self.whole: bytes | None = None
        self.held = 0
        self._limit = limit
        self._more = more
        self._start = b""
        self.left = -1
        self._body: bytearray | BytesIO | None = None

    def take(self, piece: memoryview) -> None:
        """Raises TooLarge and Compressed, and CallFault when it is not the only one."""
        if self.left < 0:
            need = PREFIX - len(self._start)
            self._start += piece[:need]
            if len(self._start) < PREFIX:
                return
            self._begin()
            piece = piece[need:]
        size = len(piece)
        if size > self.left and self._more:
            piece, size = piece[: self.left], self.left
        if size > self.left:
            raise CallFault("It answered with more than one message.", Reset.CANCEL)
        if size == self.left and self._body is None:
            if self.whole is None:
                self.whole = bytes(piece)
        else:
            self._keep(piece)
        self.left -= size

    def _begin(self) -> None:
        compressed, self.left = self._start[0], int.from_bytes(self._start[1:], "big")
        if compressed:
            raise Compressed("Its answer is compressed.", Reset.CANCEL)
        if self.left > self._limit:
            raise TooLarge(self.left, self._limit)

    def _keep(self, piece: memoryview) -> None:
        """In one growing buffer, which becomes the message: a large one without being copied."""
        if self._body is None:
            self._body = bytearray() if self.left <= COPIED else BytesIO()
        self.held += len(piece)
        last = len(piece) == self.left
        if isinstance(self._body, bytearray):
            self._body += piece
            self.whole = bytes(self._body) if last else None
        else:
            self._body.write(piece)
            self.whole = self._body.getvalue() if last else None
        if last:
            self._body = None
