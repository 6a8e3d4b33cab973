"""Unpacks what a stranger's program has packed: plain files and folders, inside one folder.

Each segment of a path is opened by itself, without following links. Nothing but files and folders
is made, and of their headers nothing is kept but whether a file may be run.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from slipway.errors import BadSource

CHUNK = 1 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def unpack(archive: Path, into: Path) -> list[str]:
    """The files' paths, in their order. Raises BadSource when it is no tar of plain files."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "r:") as tar:
            return [path for member in tar if (path := _place(tar, member, into))]
    except (tarfile.TarError, ValueError) as error:  # also numbers and names that are none
        raise BadSource(f"the outputs can't be read: {error}") from error
    except OSError as error:
        raise BadSource(f"cannot unpack into {into}: {error.strerror or error}") from error


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> str:
    segments = [each for each in member.name.split("/") if each not in ("", ".")]
    if ".." in segments or member.name.startswith("/") or not segments:
        raise BadSource(f"the outputs hold a path that leaves its folder: {member.name[:80]!r}")
    if member.isdir():
        with _folder(into, segments):
            return ""
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise BadSource(f"the outputs hold what is no plain file: {member.name[:80]!r}")
    with content, _folder(into, segments[:-1]) as folder:
        _write(content, folder, segments[-1], 0o755 if member.mode & 0o100 else 0o644)
    return "/".join(segments)


@contextmanager
def _folder(into: Path, segments: list[str]) -> Iterator[int]:
    at = os.open(into, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for segment in segments:
            with suppress(FileExistsError):
                os.mkdir(segment, dir_fd=at)
            below = os.open(segment, FOLDER, dir_fd=at)
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def _write(content: IO[bytes], folder: int, name: str, mode: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    with os.fdopen(os.open(name, NEW, mode, dir_fd=folder), "wb") as file:
        while chunk := content.read(CHUNK):
            file.write(chunk)
