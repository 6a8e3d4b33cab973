"""The files of one commit, as git lists them: checked, sorted, and never more than allowed."""

from __future__ import annotations

import re
from asyncio import StreamReader
from collections.abc import Iterator
from typing import Final

import msgspec

from services.builder.git.child import CHUNK
from services.builder.git.trouble import too_large
from shared.archive import DEFAULT
from shared.errors import Invalid

LISTED: Final = 64 << 20  # bytes of the whole list
LONGEST: Final = 8 << 10  # bytes of one line of it

_LINE: Final = re.compile(rb"(\d{6}) (\w+) ([0-9a-f]{40}(?:[0-9a-f]{24})?) +(\d+|-)\t(.+)", re.S)
_FILES: Final = (b"100644", b"100664", b"100755")
_LINK: Final = b"120000"
_MODULE: Final = b"160000"


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A file or a symbolic link of the commit."""

    path: str
    oid: str
    size: int
    executable: bool = False
    link: bool = False


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[Item, ...]  # by path
    modules: tuple[str, ...]  # paths of submodules, which are not fetched


async def read(out: StreamReader, most: int) -> Listing:
    """Of `git ls-tree -r -z -l`. Raises Invalid when the files are more than `most` bytes."""
    items: dict[str, Item] = {}
    modules: list[str] = []
    seen = total = 0
    held = b""
    while chunk := await out.read(CHUNK):
        seen += len(chunk)
        *lines, held = (held + chunk).split(b"\0")
        for mode, path, item in map(_parsed, lines):
            if mode == _MODULE:
                modules.append(path)
                continue
            items[path] = item
            total += item.size
        count = len(items) + len(modules)
        if seen > LISTED or len(held) > LONGEST or count > DEFAULT.members or total > most:
            raise too_large()
    ordered = sorted(items.values(), key=lambda item: item.path.encode())
    return Listing(items=tuple(ordered), modules=tuple(sorted(modules)))


def _parsed(line: bytes) -> tuple[bytes, str, Item]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise Invalid("url", "holds what git lists in a way that makes no sense")
    mode, kind, oid, size, raw = found.groups()
    path = _text(raw)
    known = kind == b"blob" and mode in (*_FILES, _LINK) and size != b"-"
    if not known and mode != _MODULE:
        raise Invalid("url", f"holds {path[:80]!r}, which is neither a file, a link nor a folder")
    return (
        mode,
        path,
        Item(
            path=path,
            oid=oid.decode(),
            size=int(size) if known else 0,
            executable=mode == b"100755",
            link=mode == _LINK,
        ),
    )


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Invalid("url", "holds a file whose name is not UTF-8") from None


def notes(listing: Listing, pointers: list[str]) -> tuple[str, ...]:
    """What the owner of the code should know about it."""
    return tuple(_notes(listing.modules, pointers))


def _notes(modules: tuple[str, ...], pointers: list[str]) -> Iterator[str]:
    if modules:
        yield f"submodules are not fetched and are left out: {_shown(modules)}"
    if pointers:
        yield (
            f"Git LFS is not fetched, so these files are pointers and not the content that they "
            f"stand for: {_shown(pointers)}; give such files with the version"
        )


def _shown(paths: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(path[:120] for path in paths[:5])
    return shown if len(paths) <= 5 else f"{shown} and {len(paths) - 5} more"
