"""From the tar that an engine makes of a folder to one that holds plain files and folders."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

from services.scheduler.drivers.outputs import CHUNK, FIELD, MEMBERS, Found, Packer, padding
from shared.errors import Invalid, Permanent, translate

HEADERS: Final = 256 << 20  # bytes that an engine's tar may have beside the files' own


def repack(raw: Path, most: int) -> Generator[bytes, None, None]:
    """Nothing when it is an empty folder, or none. Raises Invalid for what can't be kept."""
    packer, files = Packer(most), dict[str, tarfile.TarInfo]()
    with translate({tarfile.TarError: Permanent}), tarfile.open(raw, "r:") as tar:
        for number, member in enumerate(tar):
            if number > 2 * MEMBERS:
                raise Invalid(FIELD, f"are more than the {MEMBERS} files that are kept")
            path = _inside(member.name)
            content = _content(member, files)
            if path and member.isdir():
                at = int(member.mtime)
                yield packer.header(Found(path=path, at=at, folder=True))
            elif path and content is not None:
                yield from _file(tar, member, content, path, packer)
    yield packer.end()


def _content(member: tarfile.TarInfo, files: dict[str, tarfile.TarInfo]) -> tarfile.TarInfo | None:
    """Where its bytes are, when it is a file: a hard link is one more copy of one of `files` that
    came before it. A link to what is no file may lead anywhere, in a circle too: it is left out."""
    content = member if member.isreg() else None
    if member.islnk():
        content = files.get(posixpath.normpath(member.linkname))
    if content is not None:
        files[posixpath.normpath(member.name)] = content
    return content


def _file(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    content: tarfile.TarInfo,
    path: str,
    packer: Packer,
) -> Iterator[bytes]:
    read = tar.extractfile(content)
    assert read is not None
    with read:
        size = read.seek(0, 2)
        read.seek(0)
        executable = bool(member.mode & 0o100)
        at = int(member.mtime)
        yield packer.header(Found(path=path, size=size, at=at, executable=executable))
        while chunk := read.read(CHUNK):
            yield chunk
        yield padding(size)


def _inside(name: str) -> str:
    """Relative to the folder, which engines call by its own name; "" for what is not below it.

    >>> _inside("outputs/a/b"), _inside("outputs/"), _inside("outputs/../x")
    ('a/b', '', '')
    """
    segments = [each for each in name.split("/") if each not in ("", ".")][1:]
    return "" if ".." in segments else "/".join(segments)
