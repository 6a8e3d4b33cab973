"""The one message of an answer: a byte that says whether it is compressed, its length, itself."""

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


class Message:
    """`whole` is the message, once it is; `held` the bytes that are kept of it until then, and
    `left` those to come, or -1 as long as that is not known."""

    __slots__ = ("_body", "_limit", "_start", "held", "left", "whole")

    def __init__(self, limit: int) -> None:
        self.whole: bytes | None = None
        self.held = 0
        self._limit = limit
        self._start = b""
        self.left = -1
        self._body: bytearray | BytesIO | None = None

    def take(self, piece: memoryview) -> None:
        """Raises CallFault when it is too long, compressed, or not the only one."""
        if self.left < 0:
            need = PREFIX - len(self._start)
            self._start += piece[:need]
            if len(self._start) < PREFIX:
                return
            self._begin()
            piece = piece[need:]
        size = len(piece)
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
            raise CallFault("Its answer is compressed.", Reset.CANCEL)
        if self.left > self._limit:
            raise CallFault(
                f"Its answer has {self.left} bytes; {self._limit} are taken at most.", Reset.CANCEL
            )

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
