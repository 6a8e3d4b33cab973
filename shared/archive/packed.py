"""The bytes of a tar from a stranger, unpacked if need be, and never more of them than allowed."""

from __future__ import annotations

import zlib
from typing import Final, Protocol

from shared.errors import Invalid

CHUNK: Final = 256 * 1024
_HEAD: Final = 512
_USTAR: Final = slice(257, 262)
_SLACK: Final = 64 << 20  # unpacked bytes below which the ratio does not matter
_FILES: Final = 10_000  # gzip files one behind the other
_OTHERS: Final = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"PK\x07\x08": "zip",
    b"PK00": "zip",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
    b"LZIP": "lzip",
    b"\x5d\0\0": "lzma",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x1f\x9d": "compress",
    b"!<arch>": "ar",
    b"0707": "cpio",
}


class Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""


class Packed:
    """Reads a stream that is plain or gzip by its first bytes; says no to all other kinds."""

    def __init__(self, stream: Readable, *, limit: int, ratio: int, field: str) -> None:
        self._stream, self._limit, self._ratio, self._field = stream, limit, ratio, field
        self._packed = 0
        self._read = 0
        self._files = 1
        head = self._raw(_HEAD)
        if head[_USTAR] != b"ustar":  # the first name in a tar may begin like another archive
            for magic, name in _OTHERS.items():
                if head.startswith(magic):
                    raise self.wrong(f"is a {name} archive; send a tar or a tar.gz")
        if not head:
            raise self.wrong("is empty; send a tar or a tar.gz")
        self._ready = head
        self._gzip = zlib.decompressobj(wbits=31) if head.startswith(b"\x1f\x8b") else None

    def wrong(self, message: str) -> Invalid:
        return Invalid(self._field, message)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        parts = []
        while size > 0 and (part := self._some(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def exactly(self, size: int, what: str) -> bytes:
        found = self.read(size)
        if len(found) < size:
            raise self.wrong(f"ends in the middle of {what}")
        return found

    def _some(self, size: int) -> bytes:
        part = self._plain(size) if self._gzip is None else self._unpacked(size)
        self._read += len(part)
        if self._read > self._limit:
            raise self.wrong(f"unpacks to more than the {self._limit} bytes allowed")
        if self._gzip and self._read > _SLACK and self._read > self._ratio * self._packed:
            raise self.wrong(f"unpacks to more than {self._ratio} times its size")
        return part

    def _plain(self, size: int) -> bytes:
        if not self._ready:
            return self._raw(min(size, CHUNK))
        part, self._ready = self._ready[:size], self._ready[size:]
        return part

    def _unpacked(self, size: int) -> bytes:
        assert self._gzip is not None
        while True:
            if self._gzip.eof:  # gzip files may follow one another
                if not self._another():
                    return b""
                self._files += 1
                if self._files > _FILES:
                    raise self.wrong(f"is made of more than {_FILES} gzip files")
                self._gzip = zlib.decompressobj(wbits=31)
            try:
                part = self._gzip.decompress(self._ready, min(size, CHUNK))
            except zlib.error as error:
                raise self.wrong("is damaged: it is not valid gzip") from error
            self._ready = self._gzip.unconsumed_tail
            if part:
                return part
            if not self._gzip.eof and not self._more():
                raise self.wrong("is damaged: its gzip ends early")

    def _another(self) -> bool:
        """Whether there is more behind a whole gzip file than the zeros that pad it."""
        assert self._gzip is not None
        self._ready = self._gzip.unused_data.lstrip(b"\0")
        while not self._ready and (raw := self._raw(CHUNK)):
            self._ready = raw.lstrip(b"\0")
        return bool(self._ready)

    def _more(self) -> bool:
        """Whether there is something packed at hand, after reading on if there was not."""
        self._ready = self._ready or self._raw(CHUNK)
        return bool(self._ready)

    def _raw(self, size: int) -> bytes:
        part = self._stream.read(size)
        self._packed += len(part)
        return part
