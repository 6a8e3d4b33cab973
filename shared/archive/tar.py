"""Tar streams from strangers, read header by header: no seeking, no recursion, bounded memory.

Python's tarfile keeps what it reads, follows what extended headers claim, and on some releases
writes outside the folder that it was told to stay in. This reader knows the few kinds of entry
that source code needs (POSIX ustar and pax, GNU long names) and refuses the rest. Layers of images
also hold devices and names in any encoding; who reads those, and writes nothing, asks for them.

A member's content must be read before the next member is asked for; what is left is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec

from shared.archive.packed import CHUNK, Packed
from shared.errors import Invalid

BLOCK: Final = 512
_EXTENDED: Final = 1 << 20  # bytes of one extended header
_ALL_EXTENDED: Final = 256 << 20  # and of all of them together
_RECORDS: Final = 256  # in one of them
_ALL_RECORDS: Final = 4_000_000  # and in all of them together
_IN_A_ROW: Final = 4  # extended headers before a member
_SIZE: Final = 1 << 62

Kind = Literal["file", "folder", "symlink", "hardlink", "special"]
_KINDS: Final[dict[bytes, Kind]] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",  # "contiguous", which everybody treats as a file
    b"1": "hardlink",
    b"2": "symlink",
    b"5": "folder",
}
_DEVICES: Final = (b"3", b"4", b"6")
_NAMES: Final = {b"3": "a device", b"4": "a device", b"6": "a FIFO", b"S": "a sparse file"}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A header as it was written; nothing about its name is checked yet."""

    name: str
    kind: Kind
    size: int
    executable: bool
    target: str  # of a link


class Reader:
    """Iterates over the entries of a tar; `chunks` gives the content of the present one."""

    def __init__(self, source: Packed, *, most: int, special: bool = False) -> None:
        """With `special`, devices, FIFOs and names that are not UTF-8 are entries, too."""
        self._source = source
        self._most = most
        self._special = special
        self._left = 0  # of the present entry's content
        self._padding = 0
        self._extended_bytes = 0
        self._records = 0

    def __iter__(self) -> Iterator[Entry]:
        count = 0
        while entry := self._next():
            count += 1
            if count > self._most:
                raise self._source.wrong(f"has more than the {self._most} members allowed")
            yield entry
            self._skip(f"member {entry.name[:80]!r}")
        self._check_end()

    def chunks(self) -> Iterator[bytes]:
        while self._left:
            size = min(self._left, CHUNK)
            self._left -= size
            yield self._source.exactly(size, "a member")

    def _skip(self, what: str) -> None:
        for _ in self.chunks():
            pass
        self._source.exactly(self._padding, what)
        self._padding = 0

    def _next(self) -> Entry | None:
        """The next entry, with all that its extended headers say about it."""
        names: dict[str, str] = {}
        for _ in range(_IN_A_ROW + 1):
            header = self._source.exactly(BLOCK, "a header: it is not a tar, or was cut short")
            if not any(header):
                if names:
                    raise self._source.wrong("ends after an extended header")
                return None
            kind, size = self._checked(header)
            if kind in (b"x", b"g", b"L", b"K"):
                self._extend(names, kind, self._extended(size))
                continue
            return self._entry(header, kind, size, names)
        raise self._source.wrong(f"has more than {_IN_A_ROW} extended headers in a row")

    def _checked(self, header: bytes) -> tuple[bytes, int]:
        unsigned = sum(header) - sum(header[148:156]) + 8 * 32
        try:
            right = _number(header[148:156]) == unsigned
            size = _number(header[124:136])
        except ValueError as error:
            raise self._source.wrong("is not a tar, or is damaged: a header is garbled") from error
        if not right:
            raise self._source.wrong("is not a tar, or is damaged: a header's checksum is wrong")
        if not 0 <= size <= _SIZE:
            raise self._source.wrong("has a member with an impossible size")
        return header[156:157], size

    def _extended(self, size: int) -> bytes:
        if size > _EXTENDED:
            raise self._source.wrong(f"has an extended header of more than {_EXTENDED} bytes")
        self._extended_bytes += size + BLOCK
        if self._extended_bytes > _ALL_EXTENDED:
            raise self._source.wrong(f"has extended headers of more than {_ALL_EXTENDED} bytes")
        content = self._source.exactly(size, "an extended header")
        self._source.exactly(-size % BLOCK, "an extended header")
        return content

    def _extend(self, names: dict[str, str], kind: bytes, content: bytes) -> None:
        if kind in (b"L", b"K"):
            self._say(names, {"path" if kind == b"L" else "linkpath": content.rstrip(b"\0")})
            return
        records, count = _records(content, self._source.wrong)
        self._records += count
        if self._records > _ALL_RECORDS:
            raise self._source.wrong(f"has pax headers of more than {_ALL_RECORDS} records")
        if any(key.startswith("GNU.sparse") for key in records):
            raise self._source.wrong("has a sparse file; pack it without sparse files")
        told = {key: value for key, value in records.items() if key in ("path", "linkpath", "size")}
        if kind == b"g" and told:
            raise self._source.wrong("names members in a global header, which is not allowed")
        self._say(names, told)

    def _say(self, names: dict[str, str], told: dict[str, bytes]) -> None:
        for key, value in told.items():
            if key in names:
                raise self._source.wrong("describes a member twice")
            names[key] = self._text(value)

    def _text(self, name: bytes) -> str:
        try:
            return name.decode(errors="surrogateescape" if self._special else "strict")
        except UnicodeDecodeError as error:
            raise self._source.wrong("has a member whose name is not UTF-8") from error

    def _entry(self, header: bytes, kind: bytes, size: int, names: dict[str, str]) -> Entry:
        name = names.get("path") or self._text(_name(header))
        meant = _KINDS.get(kind)
        if meant is None and self._special and kind in _DEVICES:
            meant = "special"
        if meant is None:
            what = _NAMES.get(kind, "of an unknown kind")
            raise self._source.wrong(
                f"member {name[:80]!r} is {what}; only files, folders and links"
            )
        if "size" in names:
            size = self._size(names["size"])
        if meant == "file" and name.endswith("/"):
            meant = "folder"  # as before POSIX
        if meant != "file" and size:
            raise self._source.wrong(f"member {name[:80]!r} is a {meant} and has content")
        self._left, self._padding = size, -size % BLOCK
        return Entry(
            name=name,
            kind=meant,
            size=size,
            executable=bool(_mode(header) & 0o111),
            target=names.get("linkpath") or self._text(_field(header[157:257])),
        )

    def _size(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise self._source.wrong("has a member with an impossible size")
        return int(text)

    def _check_end(self) -> None:
        """Nothing but padding follows the end mark, so no other reader sees other members."""
        while rest := self._source.read(CHUNK):
            if any(rest):
                raise self._source.wrong("goes on after its end mark")


def _field(raw: bytes) -> bytes:
    return raw.split(b"\0", 1)[0]


def _name(header: bytes) -> bytes:
    name, prefix = _field(header[0:100]), _field(header[345:500])
    if header[257:263] == b"ustar\0" and prefix:
        return prefix + b"/" + name
    return name


def _number(raw: bytes) -> int:
    """Octal text, or binary behind a byte 0x80. Raises ValueError for all else, as negatives."""
    if raw[0] == 0x80:
        return int.from_bytes(raw[1:], "big")
    text = raw.rstrip(b"\0 ").lstrip(b" ")
    if text.strip(b"01234567"):
        raise ValueError("not octal")
    return int(text or b"0", 8)


def _mode(header: bytes) -> int:
    try:
        return _number(header[100:108])
    except ValueError:
        return 0


def _records(content: bytes, wrong: Callable[[str], Invalid]) -> tuple[dict[str, bytes], int]:
    """The `<length> <key>=<value>` lines of a pax header, the last of each key; and how many."""
    found: dict[str, bytes] = {}
    at = 0
    count = 0
    while at < len(content):
        count += 1
        if count > _RECORDS:
            raise wrong(f"has a pax header of more than {_RECORDS} records")
        digits, space, _ = content[at : at + 9].partition(b" ")
        if not space or not digits.isdigit():
            raise wrong("has a garbled pax header")
        end = at + int(digits)
        record = content[at + len(digits) + 1 : end]
        key, equals, value = record.partition(b"=")
        if end > len(content) or not equals or not value.endswith(b"\n"):
            raise wrong("has a garbled pax header")
        found[key.decode("utf-8", "replace")] = value[:-1]
        at = end
    return found, count
