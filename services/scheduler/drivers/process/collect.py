"""Reads what a run left behind, out of a folder in which it could do as it liked.

Nothing is opened through a link, and nothing is opened that is neither a file nor a folder, so
what is read is what the run wrote, wherever it says that this is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from services.scheduler.drivers.outputs import (
    CHUNK,
    DEPTH,
    FIELD,
    Found,
    Packer,
    padding,
    readable,
)
from shared.errors import Invalid

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def pack(root: Path, inside: str, most: int) -> Generator[bytes, None, None]:
    """A tar of what is in the folder `inside` below `root`; nothing when it is not there.

    Raises Invalid for what can't be kept.
    """
    packer = Packer(most)
    try:
        folder = _open_below(root, inside)
    except OSError:  # the run took it away, or put something else in its place
        return
    with closing(_Handle(folder)):
        yield from _pack(folder, "", packer)
    yield packer.end()


class _Handle:
    def __init__(self, number: int) -> None:
        self._number = number

    def close(self) -> None:
        os.close(self._number)


def _open_below(root: Path, inside: str) -> int:
    at = os.open(root, _FOLDER)
    for name in inside.strip("/").split("/"):
        with closing(_Handle(at)):
            at = os.open(name, _FOLDER, dir_fd=at)
    return at


def _pack(folder: int, path: str, packer: Packer) -> Iterator[bytes]:
    if path.count("/") > DEPTH:
        raise Invalid(FIELD, f"are more than {DEPTH} folders deep: {readable(path)[:80]!r}")
    for name in sorted(os.listdir(folder)):
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            with _opened(folder, name, _FOLDER, path) as inner:
                at = int(os.fstat(inner).st_mtime)
                yield packer.header(Found(path=path + name, at=at, folder=True))
                yield from _pack(inner, f"{path}{name}/", packer)
        elif stat.S_ISREG(mode):
            with _opened(folder, name, _FILE, path) as file:
                yield from _content(file, path + name, packer)


def _content(file: int, path: str, packer: Packer) -> Iterator[bytes]:
    told = os.fstat(file)
    if not stat.S_ISREG(told.st_mode):
        return
    executable = bool(told.st_mode & 0o100)
    found = Found(path=path, size=told.st_size, at=int(told.st_mtime), executable=executable)
    yield packer.header(found)
    left = found.size
    while left:
        chunk = os.read(file, min(CHUNK, left)) or bytes(min(CHUNK, left))  # it was cut since
        left -= len(chunk)
        yield chunk
    yield padding(found.size)


@contextmanager
def _opened(folder: int, name: str, flags: int, path: str) -> Iterator[int]:
    try:
        number = os.open(name, flags, dir_fd=folder)
    except OSError as error:
        shown = readable(path + name)[:80]
        raise Invalid(FIELD, f"can't be read: {shown!r}: {error.strerror}") from error
    try:
        yield number
    finally:
        os.close(number)
