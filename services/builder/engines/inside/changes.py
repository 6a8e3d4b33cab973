"""What a step changed, from the upper folder of its overlay, as a tar that is always the same.

Names are sorted by bytes, times are 0, owners are numbers; modes, hard links and the capabilities
of programs stay. What was deleted becomes a whiteout as OCI has it. What differs from one run to
the next and is of no use in an image (caches, logs, compiled Python) is left out, and so are
folders that are as they were and hold nothing new.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

CHUNK = 1 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
WHITEOUT = ".wh."
OPAQUE = ("user.overlay.opaque", "trusted.overlay.opaque")
CAPABILITY = "security.capability"
LEFT_OUT = re.compile(
    "|".join(
        (
            r"(?:dev|proc|sys|tmp|var/tmp|var/log|var/cache/(?:apt|ldconfig)|var/lib/apt/lists)/.*",
            r"run/(?:secrets|\.containerenv)(?:/.*)?",
            r"etc/(?:resolv\.conf|hosts|hostname|mtab|machine-id|\.pwd\.lock)",
            r"etc/(?:passwd|group|g?shadow|sub[ug]id)-|var/lib/dbus/machine-id",
            r"var/(?:cache/debconf|lib/dpkg)/[^/]*-old|var/lib/dpkg/lock.*",
            r"(?:root|home/[^/]+)/\.(?:cache|mamba|bash_history|wget-hsts)(?:/.*)?",
            r"opt/(?:conda|mamba|micromamba)/pkgs/.*",
            r"(?:.*/)?__pycache__(?:/.*)?|.*\.py[co]",
        )
    ),
    re.DOTALL,
)

Known = dict[str, tuple[int, int]]


class TooLarge(Exception):
    """It is larger than a step may write, though a disk may hold it."""


class Member(NamedTuple):
    name: str
    found: os.stat_result
    path: str  # to open it by
    same: bool  # a folder whose owner and mode are as before

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.found.st_mode)

    @property
    def is_gone(self) -> bool:
        return stat.S_ISCHR(self.found.st_mode) and self.found.st_rdev == 0

    @property
    def hides(self) -> bool:
        """Whether it is a folder that hides all that was in it before."""
        return self.is_folder and any(_attribute(self.path, name) == b"y" for name in OPAQUE)


def snapshot(upper: str) -> Known:
    """What is there now, so that `pack` can tell what changed since."""
    return {member.name: _state(member.found) for member in walk(upper)}


def _state(found: os.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_ctime_ns  # nobody inside can set a change time


def pack(upper: str, before: str, known: Known, file: BinaryIO, most: int) -> int:
    """Write the tar; how many members it has. Raises TooLarge beyond `most` bytes.

    `before` is the root folder without the changes, and `known` what lay over it from the start.
    """
    packer = Packer(file, most)
    seen = {""}
    for member in walk(upper, before):
        seen.add(member.name)
        if LEFT_OUT.fullmatch(member.name):
            continue
        hides = member.hides
        as_before = known.get(member.name) == _state(member.found) or (member.same and not hides)
        packer.add(member, needed=not as_before, hides=hides)
    for name in sorted(known.keys() - seen, key=os.fsencode):
        if os.path.dirname(name) in seen and not LEFT_OUT.fullmatch(name):
            packer.gone(name)
    packer.end()
    return packer.members


def walk(root: str, before: str = "") -> Iterator[Member]:
    """All below `root`, folders before what is in them, each compared with its like in `before`."""
    at = os.open(root, FOLDER)
    like = os.open(before, FOLDER) if before else -1
    try:
        yield from _walk(at, like, "")
    finally:
        os.close(at)
        if like >= 0:
            os.close(like)


def _walk(at: int, like: int, prefix: str) -> Iterator[Member]:
    for name in sorted(os.listdir(at), key=os.fsencode):
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
        inner = _open(like, name) if stat.S_ISDIR(found.st_mode) else -1
        try:
            same = inner >= 0 and _owner(os.fstat(inner)) == _owner(found)
            yield Member(prefix + name, found, f"/proc/self/fd/{at}/{name}", same)
            if stat.S_ISDIR(found.st_mode):
                below = os.open(name, FOLDER, dir_fd=at)
                try:
                    yield from _walk(below, inner, f"{prefix}{name}/")
                finally:
                    os.close(below)
        finally:
            if inner >= 0:
                os.close(inner)


def _open(like: int, name: str) -> int:
    if like < 0:
        return -1
    try:
        return os.open(name, FOLDER, dir_fd=like)
    except OSError:  # nothing, or no folder
        return -1


def _owner(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mode, found.st_uid, found.st_gid


def _attribute(path: str, name: str) -> bytes:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return b""


class Packer:
    """Writes members. A folder that is not needed itself is written when something in it is."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.members = 0
        self._file = file
        self._left = most
        self._linked: dict[int, str] = {}  # where a file with several names was first
        self._folders: list[tuple[Member, bool]] = []  # on the way here, and whether written

    def add(self, member: Member, *, needed: bool, hides: bool) -> None:
        while self._folders and not member.name.startswith(self._folders[-1][0].name + "/"):
            self._folders.pop()
        if needed:
            self._write_folders()
            self._write(member)
            if hides:
                self._empty(f"{member.name}/{WHITEOUT}{WHITEOUT}.opq")
        if member.is_folder:
            self._folders.append((member, needed))

    def gone(self, name: str) -> None:
        folder, _, last = name.rpartition("/")
        self._empty(os.path.join(folder, WHITEOUT + last))

    def end(self) -> None:
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))

    def _write_folders(self) -> None:
        for index, (folder, written) in enumerate(self._folders):
            if not written:
                self._write(folder)
                self._folders[index] = (folder, True)

    def _write(self, member: Member) -> None:
        mode = member.found.st_mode
        if member.is_gone:
            self.gone(member.name)
        elif member.is_folder:
            self._header(member, tarfile.DIRTYPE)
        elif stat.S_ISLNK(mode):
            self._header(member, tarfile.SYMTYPE, target=os.readlink(member.path))
        elif stat.S_ISREG(mode):
            self._write_file(member)

    def _write_file(self, member: Member) -> None:
        first = self._linked.setdefault(member.found.st_ino, member.name)
        if first != member.name:
            self._header(member, tarfile.LNKTYPE, target=first)
            return
        size = member.found.st_size
        self._left -= size
        if self._left < 0:
            raise TooLarge
        self._header(member, tarfile.REGTYPE, size=size)
        with open(os.open(member.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as content:
            while chunk := content.read(CHUNK):
                self._file.write(chunk)
        self._file.write(bytes(-size % tarfile.BLOCKSIZE))

    def _header(self, member: Member, kind: bytes, *, size: int = 0, target: str = "") -> None:
        name = member.name + "/" if kind == tarfile.DIRTYPE else member.name
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, size, target
        info.mode = 0o777 if kind == tarfile.SYMTYPE else stat.S_IMODE(member.found.st_mode)
        info.uid, info.gid = member.found.st_uid, member.found.st_gid
        if kind == tarfile.REGTYPE and (capability := _attribute(member.path, CAPABILITY)):
            self._file.write(_extended(f"SCHILY.xattr.{CAPABILITY}", capability))
        self._file.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        self.members += 1

    def _empty(self, name: str) -> None:
        info = tarfile.TarInfo(name)
        info.mode = 0
        self._file.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        self.members += 1


def _extended(name: str, value: bytes) -> bytes:
    """A pax header that says one more thing of the member after it."""
    body = b" " + name.encode() + b"=" + value + b"\n"
    size = len(body)
    while len(str(size)) + len(body) != size:
        size = len(str(size)) + len(body)
    record = str(size).encode() + body
    info = tarfile.TarInfo("PaxHeaders/0")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    header = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    return header + record + bytes(-len(record) % tarfile.BLOCKSIZE)
