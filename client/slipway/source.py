"""Packs a folder into an archive that depends on nothing but its content.

Names sorted, no times, no owners, two file modes: the same files give the same bytes, so that what
was uploaded once is found again by its digest. What would not survive the way (a link that leaves
the folder, a device) is refused here, where its owner can still see it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, cast

import msgspec

from slipway import ignore
from slipway.errors import BadSource

CHUNK: Final = 1 << 20
ARCHIVES: Final = (".tar", ".tar.gz", ".tgz")

Progress = Callable[[str, int], None]
"""Told each file's name and size when it has been packed."""


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    digest: str  # sha256:<64 hex digits>
    size: int
    files: int


class Member(msgspec.Struct, frozen=True, kw_only=True, order=True):
    name: str  # relative, with /
    path: Path
    link: str | None = None


def pack(folder: Path, out: IO[bytes], progress: Progress = lambda name, size: None) -> Packed:
    """Write `folder` to `out` as a tar.gz. Raises BadSource with the name of what is wrong."""
    found = members(folder)
    hashed = _Hashing(out)
    with gzip.GzipFile(filename="", mode="wb", fileobj=hashed, mtime=0, compresslevel=6) as zipped:
        _write(found, zipped, progress)
    return Packed(digest=hashed.digest, size=hashed.size, files=len(found))


def bundle(
    found: Sequence[Member], out: IO[bytes], progress: Progress = lambda name, size: None
) -> Packed:
    """Write `found` to `out` as a tar: the same bytes whatever version of zlib is here."""
    hashed = _Hashing(out)
    _write(found, cast("IO[bytes]", hashed), progress)
    return Packed(digest=hashed.digest, size=hashed.size, files=len(found))


def _write(found: Sequence[Member], out: gzip.GzipFile | IO[bytes], progress: Progress) -> None:
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in found:
            progress(member.name, _add(archive, member))


def digest(path: Path) -> Packed:
    """A single file as it would be uploaded."""
    hashed = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                hashed.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise BadSource(f"cannot read {path}: {error.strerror}") from error
    return Packed(digest=f"sha256:{hashed.hexdigest()}", size=size, files=1)


def is_archive(path: Path) -> bool:
    return path.is_file() and path.name.endswith(ARCHIVES)


def members(folder: Path, rules: Sequence[str] = ignore.NAMES) -> list[Member]:
    """What of `folder` is packed, in order. `rules`: the files that say what stays at home."""
    root = folder.resolve()
    if not root.is_dir():
        raise BadSource(f"{folder} is not a folder", "give a folder with code, or a .tar.gz of one")
    found = sorted(_walk(root, root, "", [], rules))
    if not found:
        raise BadSource(f"{folder} holds no files", "is everything in .gitignore?")
    return found


def _walk(
    root: Path, folder: Path, inside: str, above: list[ignore.Rule], names: Sequence[str]
) -> Iterator[Member]:
    rules = above + ignore.read(folder, inside, names)
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise BadSource(f"cannot read {folder}: {error.strerror}") from error
    for entry in entries:
        name = _checked(inside + entry.name)
        is_folder = entry.is_dir(follow_symlinks=False)
        if ignore.ignored(name, is_folder, rules):
            continue
        path = Path(entry.path)
        if entry.is_symlink():
            yield Member(name=name, path=path, link=_link(root, path, name))
        elif is_folder:
            yield from _walk(root, path, f"{name}/", rules, names)
        elif entry.is_file():
            yield Member(name=name, path=path)
        else:
            raise BadSource(f"{name} is neither a file, a folder nor a link", _LEAVE_OUT)


_LEAVE_OUT: Final = "remove it, or name it in .slipwayignore"


def _checked(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadSource(f"the file name {name!a} is not valid UTF-8", _LEAVE_OUT) from error
    return name


def _link(root: Path, path: Path, name: str) -> str:
    target = os.readlink(path)
    # also a link through another link that leaves: what counts is where it ends
    try:
        inside = path.resolve().is_relative_to(root)
    except (OSError, RuntimeError) as error:
        raise BadSource(f"the link {name} leads nowhere", _LEAVE_OUT) from error
    lexical = os.path.normpath(os.path.join(os.path.dirname(name), target))
    if os.path.isabs(target) or lexical.split("/")[0] == ".." or not inside:
        raise BadSource(f"the link {name} leaves the folder", _LEAVE_OUT)
    return target


def _add(archive: tarfile.TarFile, member: Member) -> int:
    info = tarfile.TarInfo(member.name)
    if member.link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, member.link, 0o777
        archive.addfile(info)
        return 0
    try:
        with member.path.open("rb") as file:
            status = os.fstat(file.fileno())
            info.size = status.st_size
            info.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
            archive.addfile(info, file)
    except OSError as error:  # also when it shrank while it was read
        why = error.strerror or "it changed while it was packed"
        raise BadSource(f"cannot read {member.name}: {why}") from error
    return info.size


class _Hashing:
    """A file that knows the digest and size of what went into it."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, content: bytes) -> int:
        self._hash.update(content)
        self.size += len(content)
        return self._out.write(content)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._out.flush()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"
