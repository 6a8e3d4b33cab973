"""What a run left in its folder for outputs, as a tar that strangers' files can't make harmful.

Drivers find the files, each in its own way; here is what they may be. Only files and folders are
kept, and of their headers the name, the size, the time and whether a file may be run. Links,
devices and sockets are left out: what is unpacked elsewhere means nothing there.
"""

from __future__ import annotations

import tarfile
from collections.abc import Generator
from contextlib import closing
from typing import Final

import msgspec

from shared.errors import Invalid

FOLDER: Final = "/slipway/outputs"
"""Inside; SLIPWAY_OUTPUTS names it to the run."""

FIELD: Final = "outputs"
MEMBERS: Final = 100_000
LONGEST: Final = 1_000  # bytes of a path
DEPTH: Final = 64
CHUNK: Final = 1 << 20
BLOCK: Final = tarfile.BLOCKSIZE


class Found(msgspec.Struct, frozen=True, kw_only=True):
    path: str  # relative to the folder
    size: int = 0
    at: int = 0  # when it was last written
    executable: bool = False
    folder: bool = False


class Packer:
    """Makes the tar's headers, and counts. `most` are bytes of all files together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = self._members = 0

    def header(self, found: Found) -> bytes:
        """What goes before its content. Raises Invalid for one that is too much."""
        self._size += found.size
        self._members += 1
        if self._size > self._most:
            raise Invalid(FIELD, f"are more than the {self._most} bytes that are kept")
        if self._members > MEMBERS:
            raise Invalid(FIELD, f"are more than the {MEMBERS} files and folders that are kept")
        path = readable(found.path)
        if len(path.encode()) > LONGEST or path.count("/") >= DEPTH:
            message = f"have a path of more than {LONGEST} bytes or {DEPTH} folders"
            raise Invalid(FIELD, f"{message}: {path[:80]!r}")
        member = tarfile.TarInfo(path)
        member.size, member.mtime = found.size, max(0, found.at)
        member.mode = 0o755 if found.executable or found.folder else 0o644
        member.type = tarfile.DIRTYPE if found.folder else tarfile.REGTYPE
        return member.tobuf(tarfile.PAX_FORMAT)

    def end(self) -> bytes:
        """What goes after the last; nothing when there was none."""
        return bytes(2 * BLOCK) if self._members else b""


def together(
    pieces: Generator[bytes, None, None], most: int = CHUNK
) -> Generator[bytes, None, None]:
    """The same bytes in pieces of at least `most` but for the last: each that is asked for is a way
    to a thread and back, and 100,000 small files have three of them each.

    >>> list(together((bytes([65 + n]) for n in range(5)), 2))
    [b'AB', b'CD', b'E']
    """
    kept, size = list[bytes](), 0
    with closing(pieces):
        for piece in pieces:
            kept.append(piece)
            size += len(piece)
            if size >= most:
                yield b"".join(kept)
                kept, size = [], 0
    if size:
        yield b"".join(kept)


def padding(size: int) -> bytes:
    """What goes after a content of `size` bytes."""
    return bytes(-size % BLOCK)


def readable(path: str) -> str:
    r"""A name as UTF-8 has it, whatever bytes it is made of.

    >>> readable("m\udcfft")
    'm\\xfft'
    """
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
