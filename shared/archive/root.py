"""A folder that files are written below, and never outside, whatever paths are asked for.

Every segment of a path is opened by itself, below the one before, without following links: what is
not a folder that is really there is an error of the system, not a way out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Root:
    """Paths are relative, of plain segments; "" is the folder itself. Nothing is overwritten."""

    def __init__(self, path: Path) -> None:
        self._root = os.open(path, _FOLDER)
        self._last = ("", os.dup(self._root))  # archives keep what is in one folder together

    def __enter__(self) -> Root:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._last[1])
        os.close(self._root)

    def folder(self, path: str) -> int:
        """Make it, and those above it, where missing. Stays open until the next call."""
        last, opened = self._last
        if path != last:
            below = path.startswith(last + "/") or not last
            rest = path[len(last) :].strip("/") if below else path
            found = _walk(opened if below else self._root, rest)
            os.close(opened)
            self._last = (path, found)
        return self._last[1]

    def write(self, path: str, chunks: Iterable[bytes], *, executable: bool) -> None:
        above, _, name = path.rpartition("/")
        opened = os.open(name, _NEW, 0o600, dir_fd=self.folder(above))
        try:
            for chunk in chunks:
                _write_all(opened, chunk)
            os.fchmod(opened, 0o755 if executable else 0o644)
        finally:
            os.close(opened)

    def content(self, path: str) -> Iterator[bytes]:
        """Of a file that is there."""
        above, _, name = path.rpartition("/")
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self.folder(above))
        with open(opened, "rb") as file:
            while chunk := file.read(1 << 18):
                yield chunk

    def link(self, path: str, target: str) -> None:
        above, _, name = path.rpartition("/")
        os.symlink(target, name, dir_fd=self.folder(above))


def _walk(start: int, path: str) -> int:
    here = os.dup(start)
    try:
        for name in path.split("/") if path else ():
            below = _below(here, name)
            os.close(here)
            here = below
    except BaseException:
        os.close(here)
        raise
    return here


def _below(folder: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        os.mkdir(name, 0o755, dir_fd=folder)
        below = os.open(name, _FOLDER, dir_fd=folder)
        os.fchmod(below, 0o755)  # whatever the umask
        return below


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
