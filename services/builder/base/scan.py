"""What a base image's layer says about the system that it belongs to, read from its bytes alone.

A layer is read once, as a stream, and nothing of it is written or run. Of most files only the name
is kept; of those that tell what is installed, their beginning; of the C library and of Python, the
words in the binary that give its version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Final, Literal, cast

import msgspec
import zstandard

from shared.archive.packed import Packed, Readable
from shared.archive.tar import Entry, Reader
from shared.errors import Invalid

Kind = Literal["file", "folder", "symlink", "hardlink", "gone", "opaque"]

ZSTD: Final = b"\x28\xb5\x2f\xfd"
SKIPPABLE: Final = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # frames that zstd tools leave notes in
WINDOW: Final = 1 << 27  # of zstd, in memory

HEAD: Final = 8 << 10
DATABASE: Final = 64 << 20
KEPT: Final = (
    (re.compile(r"(?:etc|usr/lib)/os-release"), HEAD),
    (re.compile(r"var/lib/dpkg/status"), DATABASE),
    (re.compile(r"var/lib/dpkg/status\.d/[^/]+(?<!\.md5sums)"), HEAD),
    (re.compile(r"(?:usr/)?lib/apk/db/installed"), DATABASE),
    (re.compile(r"(?:.+/)?(?:site|dist)-packages/[^/]+\.dist-info/METADATA"), HEAD),
    (re.compile(r"(?:.+/)?(?:site|dist)-packages/[^/]+\.egg-info(?:/PKG-INFO)?"), HEAD),
    (re.compile(r"(?:.+/)?pyvenv\.cfg"), HEAD),
    (re.compile(r"var/lib/rpm/[^/]+|usr/lib/sysimage/rpm/[^/]+"), 0),
)
SEARCHED: Final = (
    (
        re.compile(r"(?:.+/)?(?:bin/python[\d.]*|libpython3[^/]*\.so[\d.]*|bin/pypy[\d.]*)"),
        re.compile(rb"3\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d{1,2})?\+?(?=\0)"),
    ),
    (
        re.compile(r"(?:usr/)?lib(?:64)?/(?:[^/]+/)?libc(?:\.so\.6|-2\.\d+\.so)"),
        re.compile(rb"GNU C Library [^\0\n]{0,80}version \d\.\d{1,3}"),
    ),
    (
        re.compile(r"(?:usr/)?lib/(?:ld-musl-[^/]+\.so\.1|libc\.musl-[^/]+\.so\.1)"),
        re.compile(rb"(?<=\0)1\.\d\.\d{1,2}(?=\0)"),
    ),
)
OVERLAP: Final = 256  # bytes looked at again, for words that lie across two chunks
MOST_WORDS: Final = 64


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Of all layers of an image together."""

    size: int = 100_000_000_000  # bytes, unpacked
    members: int = 2_000_000
    kept: int = 512 << 20  # bytes of names and contents
    ratio: int = 1_000  # unpacked to packed, of one layer
    path: int = 4_096
    depth: int = 256


DEFAULT: Final = Limits()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One member, or with `gone` and `opaque` what a layer takes away from those below it."""

    path: str  # relative, of plain segments; "" is the root
    kind: Kind
    target: str = ""  # of a link, as it was written
    content: bytes | None = None  # None: nothing was kept of it
    words: tuple[str, ...] = ()  # what was looked for inside, each once


class Spent(msgspec.Struct):
    """What the layers so far have used up of the limits."""

    size: int = 0
    members: int = 0
    kept: int = 0


def scan(stream: Readable, spent: Spent, limits: Limits = DEFAULT) -> list[Found]:
    """The members of one layer, in order. Blocks; counts on `spent`. Raises Invalid."""
    packed = Packed(
        _plain(stream, limits), limit=limits.size - spent.size, ratio=limits.ratio, field="layer"
    )
    reader = Reader(packed, most=limits.members - spent.members, special=True)
    found = []
    for entry in reader:
        spent.members += 1
        spent.size += entry.size
        path = _path(entry.name, limits)
        member = _whiteout(path) or _member(path, entry, reader)
        spent.kept += len(path) + len(member.target) + len(member.content or b"") + 200
        if spent.kept > limits.kept:
            raise Invalid("layer", f"has more than {limits.kept} bytes of names and packages")
        found.append(member)
    return found


def _plain(stream: Readable, limits: Limits) -> Readable:
    """The stream, unpacked if it is zstd; gzip is for `Packed` to unpack."""
    head = stream.read(4)
    joined = _Joined(head, stream)
    if head.startswith(ZSTD) or SKIPPABLE.match(head):
        return _Unpacked(joined, limits.ratio)
    return joined


class _Joined:
    """A stream whose first bytes were read already; counts what is read."""

    def __init__(self, head: bytes, stream: Readable) -> None:
        self._head, self._stream = head, stream
        self.count = 0

    def read(self, size: int, /) -> bytes:
        part, self._head = self._head[:size], self._head[size:]
        if len(part) < size:
            part += self._stream.read(size - len(part))
        self.count += len(part)
        return part


class _Unpacked:
    """A zstd stream, never much more of it than allowed."""

    def __init__(self, packed: _Joined, ratio: int) -> None:
        self._packed, self._ratio = packed, ratio
        self._read = 0
        self._reader = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(
            cast(IO[bytes], packed),  # of which it only reads
            read_across_frames=True,
        )

    def read(self, size: int, /) -> bytes:
        try:
            part = self._reader.read(size)
        except zstandard.ZstdError as error:
            raise Invalid("layer", "is damaged: it is not valid zstd") from error
        self._read += len(part)
        if self._read > (64 << 20) and self._read > self._ratio * self._packed.count:
            raise Invalid("layer", f"unpacks to more than {self._ratio} times its size")
        return part


def _path(name: str, limits: Limits) -> str:
    if len(name) > limits.path:
        raise Invalid("layer", f"has a path of more than {limits.path} characters")
    segments = [segment for segment in name.split("/") if segment not in ("", ".")]
    if ".." in segments or "\0" in name:
        raise Invalid("layer", f"member {name[:80]!r} leaves the image")
    if len(segments) > limits.depth:
        raise Invalid("layer", f"member {name[:80]!r} is more than {limits.depth} folders deep")
    return "/".join(segments)


def _whiteout(path: str) -> Found | None:
    """See https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#whiteouts."""
    above, _, name = path.rpartition("/")
    if not name.startswith(".wh."):
        return None
    if name == ".wh..wh..opq":
        return Found(path=above, kind="opaque")
    gone = name.removeprefix(".wh.")
    if gone in ("", ".", ".."):
        raise Invalid("layer", f"member {path[:80]!r} takes away what has no name")
    return Found(path=f"{above}/{gone}".lstrip("/"), kind="gone")


def _member(path: str, entry: Entry, reader: Reader) -> Found:
    match entry.kind:
        case "folder" | "symlink" | "hardlink":
            return Found(path=path, kind=entry.kind, target=entry.target)
        case "special":
            return Found(path=path, kind="file")
    for pattern, most in KEPT:
        if pattern.fullmatch(path):
            return Found(path=path, kind="file", content=_head(reader, most))
    for pattern, words in SEARCHED:
        if pattern.fullmatch(path):
            head, said = _search(reader.chunks(), words)
            return Found(path=path, kind="file", content=head, words=said)
    return Found(path=path, kind="file")


def _head(reader: Reader, most: int) -> bytes:
    parts, left = [], most
    for chunk in reader.chunks():
        parts.append(chunk[:left])
        left -= len(parts[-1])
        if not left:
            break
    return b"".join(parts)


def _search(chunks: Iterator[bytes], pattern: re.Pattern[bytes]) -> tuple[bytes, tuple[str, ...]]:
    """A file's first bytes, and the words in it that match, each once."""
    head, held = b"", b""
    words: dict[str, None] = {}
    for chunk in chunks:
        head = head or chunk[:HEAD]
        held += chunk
        for match in pattern.finditer(held):
            before = held[match.start() - 1 : match.start()]
            if len(words) < MOST_WORDS and not before.isdigit() and before != b".":
                words[match[0].decode("latin-1")] = None
        held = held[-OVERLAP:]
    return head, tuple(words)
