"""From the tar that an engine makes of a folder to one that holds plain files and folders."""

from __future__ import annotations

import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

from services.scheduler.drivers.outputs import CHUNK, FIELD, MEMBERS, Found, Packer, padding
from shared.errors import Invalid, Permanent, translate

HEADERS: Final = 256 << 20  # bytes that an engine's tar may have beside the files' own


def repack(raw: Path, most: int) -> Generator[bytes, None, None]:
    """Nothing when it is an empty folder, or none. Raises Invalid for what can't be kept."""
    packer = Packer(most)
    with translate({tarfile.TarError: Permanent}), tarfile.open(raw, "r:") as tar:
        for number, member in enumerate(tar):
            if number > 2 * MEMBERS:
                raise Invalid(FIELD, f"are more than the {MEMBERS} files that are kept")
            path = _inside(member.name)
            if path and member.isdir():
                at = int(member.mtime)
                yield packer.header(Found(path=path, at=at, folder=True))
            elif path and (member.isreg() or member.islnk()):
                yield from _file(tar, member, path, packer)
    yield packer.end()


def _file(
    tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, packer: Packer
) -> Iterator[bytes]:
    """A hard link is one more copy."""
    try:
        content = tar.extractfile(member)
    except KeyError:  # to what is not in the folder
        return
    if content is None:
        return
    with content:
        size = content.seek(0, 2)
        content.seek(0)
        executable = bool(member.mode & 0o100)
        at = int(member.mtime)
        yield packer.header(Found(path=path, size=size, at=at, executable=executable))
        while chunk := content.read(CHUNK):
            yield chunk
        yield padding(size)


def _inside(name: str) -> str:
    """Relative to the folder, which engines call by its own name; "" for what is not below it.

    >>> _inside("outputs/a/b"), _inside("outputs/"), _inside("outputs/../x")
    ('a/b', '', '')
    """
    segments = [each for each in name.split("/") if each not in ("", ".")][1:]
    return "" if ".." in segments else "/".join(segments)
