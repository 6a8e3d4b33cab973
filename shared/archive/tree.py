"""What an archive says, checked: each member's own words, and what all paths mean together."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import msgspec

from shared.archive.tar import Entry, Kind
from shared.errors import Invalid


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive may be. Copies made for hard links count like any other bytes."""

    size: int = 20 << 30  # bytes, unpacked
    members: int = 100_000
    links: int = 10_000
    ratio: int = 250  # unpacked to packed; source code reaches 20, zeros 1,000
    path: int = 1_000  # bytes of a path
    depth: int = 64


DEFAULT: Final = Limits()
_NAME: Final = 255  # bytes of one segment, as file systems have it
_HOPS: Final = 40  # links followed before it counts as a loop, as Linux has it
_STEPS: Final = 500_000  # segments walked for all links together
_PATHS: Final = 64 << 20  # bytes of all paths together, which are kept in memory
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_LEAVES: Final = "leaves the archive; paths must stay inside its root folder"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    path: str  # relative, with plain segments only
    kind: Kind
    size: int = 0
    executable: bool = False
    target: str = ""  # of a hard link: another member's path; of a symbolic link: as written


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a checked archive holds, in its order."""

    members: tuple[Member, ...]
    size: int  # bytes, unpacked

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(m.path for m in self.members if m.kind in ("file", "hardlink"))


class Tree:
    """The members so far, and what their paths mean together."""

    def __init__(self, limits: Limits, field: str) -> None:
        self._limits, self._field = limits, field
        self._members: dict[str, Member] = {}
        self._twins: dict[str, str] = {}  # as a file system that ignores case has it -> as written
        self._links: dict[str, str] = {}
        self._size = 0
        self._steps = 0
        self._paths = 0

    def add(self, entry: Entry) -> Member | None:
        """The member that `entry` describes; None for one that adds nothing, such as `./`."""
        path = self._path(entry.name)
        member = Member(
            path=path,
            kind=entry.kind,
            size=entry.size,
            executable=entry.executable,
            target=entry.target,
        )
        if entry.kind == "hardlink":
            member = self._hardlink(member)
        elif entry.kind == "symlink":
            self._check_symlink(member)
        if not path:
            if entry.kind != "folder":
                raise self._wrong(entry.name, "has no name")
            return None
        return self._keep(member)

    def listing(self) -> Listing:
        """All of them, once the links are known to stay inside."""
        for path in self._links:
            self._follow(path)
        return Listing(members=tuple(self._members.values()), size=self._size)

    def _wrong(self, name: str, message: str) -> Invalid:
        return Invalid(self._field, f"member {name[:120]!r} {message}")

    def _path(self, name: str) -> str:
        """`./a//b/` is `a/b`; "" is the root. Refuses what can't be a path inside the root."""
        if _CONTROL.search(name):
            raise self._wrong(name, "has control characters in its name")
        if len(name.encode()) > self._limits.path:
            raise self._wrong(name, f"has a path of more than {self._limits.path} bytes")
        if name.startswith("/") or _DRIVE.match(name):
            raise self._wrong(name, f"has an absolute path and {_LEAVES}")
        if "\\" in name:
            raise self._wrong(name, "has a backslash in its name; folders are separated by /")
        segments = [segment for segment in name.split("/") if segment not in ("", ".")]
        if ".." in segments:
            raise self._wrong(name, _LEAVES)
        if len(segments) > self._limits.depth:
            raise self._wrong(name, f"is more than {self._limits.depth} folders deep")
        if any(len(segment.encode()) > _NAME for segment in segments):
            raise self._wrong(name, f"has a name of more than {_NAME} bytes")
        return "/".join(segments)

    def _hardlink(self, member: Member) -> Member:
        target = self._members.get(self._path(member.target))
        if target is None or target.kind not in ("file", "hardlink"):
            raise self._wrong(member.path, "is a hard link to what is not an earlier file")
        return msgspec.structs.replace(
            member, target=target.path, size=target.size, executable=target.executable
        )

    def _check_symlink(self, member: Member) -> None:
        target = member.target
        if not target or _CONTROL.search(target) or len(target.encode()) > self._limits.path:
            raise self._wrong(member.path, "is a link to what can't be a path")
        if target.startswith("/") or "\\" in target or _DRIVE.match(target):
            raise self._wrong(member.path, f"is a link that {_LEAVES}")
        if len(self._links) >= self._limits.links:
            raise self._wrong(member.path, f"is one of more than {self._limits.links} links")

    def _keep(self, member: Member) -> Member | None:
        self._make_parents(member.path)
        known = self._members.get(member.path)
        if known is not None:
            if member.kind == known.kind == "folder":
                return None
            raise self._wrong(member.path, "is there twice")
        self._check_twin(member.path)
        self._members[member.path] = member
        self._size += member.size
        if self._size > self._limits.size:
            raise Invalid(
                self._field, f"unpacks to more than the {self._limits.size} bytes allowed"
            )
        if member.kind == "symlink":
            self._links[member.path] = member.target
        return member

    def _make_parents(self, path: str) -> None:
        """A folder need not be a member of its own; a file or a link can't be a folder."""
        parent = path.rpartition("/")[0]
        missing = []
        while parent and parent not in self._members:
            missing.append(parent)
            parent = parent.rpartition("/")[0]
        if parent and self._members[parent].kind != "folder":
            kind = self._members[parent].kind
            raise self._wrong(path, f"goes through the {kind} {parent[:80]!r}")
        for folder in reversed(missing):
            self._check_twin(folder)
            self._members[folder] = Member(path=folder, kind="folder")
        if len(self._members) > 2 * self._limits.members:
            raise Invalid(self._field, f"has more than {2 * self._limits.members} folders")

    def _check_twin(self, path: str) -> None:
        self._paths += len(path)
        if self._paths > _PATHS:
            raise Invalid(self._field, f"has paths of more than {_PATHS} bytes in all")
        plain = path.casefold() if path.isascii() else _folded(path)
        twin = self._twins.setdefault(plain, path)
        if twin != path:
            raise self._wrong(path, f"differs from {twin[:80]!r} only in case or accents")

    def _follow(self, link: str) -> None:
        """Walk where a link leads as the kernel would, through other links; it may dangle."""
        at = link.split("/")[:-1]
        ahead = self._links[link].split("/")[::-1]
        hops = 0
        while ahead:
            segment = ahead.pop()
            self._steps += 1
            if self._steps > _STEPS:
                raise self._wrong(link, "is one of too many links through links")
            if segment in ("", "."):
                continue
            if segment == "..":
                if not at:
                    raise self._wrong(link, f"is a link that {_LEAVES}")
                at.pop()
                continue
            at.append(segment)
            target = self._links.get("/".join(at))
            if target is not None:
                hops += 1
                if hops > _HOPS:
                    raise self._wrong(link, "is a link that goes round in circles")
                at.pop()
                ahead += target.split("/")[::-1]


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", path).casefold())
