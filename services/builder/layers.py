"""Layers as byte streams: the same content gives the same tar, whoever packs it and whenever.

Names are sorted, times are 0, owners are numbers without names, and modes are 0755 or 0644 by the
execute bit alone. The format is GNU tar's, uncompressed. A layer is never whole in memory.

A layer belongs to root, or to an `owner` who may write to it: all of it but its folders at the
very top, which an image has from its base.
"""

from __future__ import annotations

import asyncio
import os
import stat
import tarfile
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from shared.blobs import CHUNK

BLOCK: Final = tarfile.BLOCKSIZE
END: Final = bytes(2 * BLOCK)


def header(
    name: str, kind: bytes, owner: int, *, mode: int = 0o755, size: int = 0, target: str = ""
) -> bytes:
    """The blocks before a member's content. `name` has no leading slash."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname = kind, mode, size, target
    info.uid = info.gid = owner
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def folder_header(name: str, owner: int = 0) -> bytes:
    return header(name + "/", tarfile.DIRTYPE, owner if "/" in name else 0)


def file_header(name: str, size: int, owner: int = 0, *, executable: bool = False) -> bytes:
    return header(name, tarfile.REGTYPE, owner, size=size, mode=0o755 if executable else 0o644)


def link_header(name: str, target: str, owner: int = 0) -> bytes:
    return header(name, tarfile.SYMTYPE, owner, target=target, mode=0o777)


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def parents(names: Iterable[str]) -> list[str]:
    """Every folder that the names lie in, outermost first.

    >>> parents(["a/b/c", "a/d"])
    ['a', 'a/b']
    """
    found = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    return sorted(found - {"."})


def small(
    files: Mapping[str, bytes], links: Mapping[str, str] | None = None, *, owner: int = 0
) -> Iterator[bytes]:
    """A layer of a few small files, given by absolute path, and of links (path -> target).

    A path that ends with `/` is an empty folder.
    """
    content = {path.lstrip("/"): body for path, body in files.items()}
    targets = {path.lstrip("/"): target for path, target in (links or {}).items()}
    folders = {name.rstrip("/") for name in content if name.endswith("/")}
    for name in sorted({*folders, *parents([*content, *targets])}):
        yield folder_header(name, owner)
    for name in sorted(targets):
        yield link_header(name, targets[name], owner)
    for name in sorted(name for name in content if not name.endswith("/")):
        body = content[name]
        yield file_header(name, len(body), owner) + body + padding(len(body))
    yield END


def folder(
    root: Path, at: str, *, owner: int = 0, without: Collection[str] = ()
) -> Iterator[bytes]:
    """A layer with all that is in `root`, at the absolute path `at`.

    Special files are left out, and so are those whose paths in `root` are in `without`.
    """
    base = at.strip("/")
    for name in parents([base + "/x"]):
        yield folder_header(name, owner)
    for relative, entry in _walk(os.fspath(root), ""):
        if relative not in without:
            yield from _member(f"{base}/{relative}", entry, owner)
    yield END


def _walk(path: str, relative: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(path) as found:
        # by bytes: the order of str differs for names that are not UTF-8
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        yield relative + entry.name, entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{relative}{entry.name}/")


def _member(name: str, entry: os.DirEntry[str], owner: int) -> Iterator[bytes]:
    found = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        yield folder_header(name, owner)
    elif stat.S_ISLNK(found.st_mode):
        yield link_header(name, os.readlink(entry.path), owner)
    elif stat.S_ISREG(found.st_mode):
        yield file_header(name, found.st_size, owner, executable=bool(found.st_mode & 0o100))
        yield from _content(entry.path, found.st_size)
        yield padding(found.st_size)


def _content(path: str, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes, even of a file that somebody is still writing to."""
    with open(path, "rb") as file:
        while size > 0:
            chunk = file.read(min(CHUNK, size)) or bytes(min(CHUNK, size))
            size -= len(chunk)
            yield chunk


async def threaded(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in larger chunks, produced in a thread so that the loop goes on."""
    while chunk := await asyncio.to_thread(_gather, chunks):
        yield chunk


def _gather(chunks: Iterator[bytes]) -> bytes:
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        if len(gathered) >= CHUNK:
            break
    return bytes(gathered)


async def streams(
    files: Mapping[str, tuple[int, AsyncIterable[bytes]]], *, owner: int = 0
) -> AsyncIterator[bytes]:
    """A layer of large files, given by absolute path, each with its size and content."""
    named = {path.lstrip("/"): given for path, given in files.items()}
    for name in parents(named):
        yield folder_header(name, owner)
    for name in sorted(named):
        size, chunks = named[name]
        yield file_header(name, size, owner)
        async for chunk in chunks:
            yield chunk
        yield padding(size)
    yield END
