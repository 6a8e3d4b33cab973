"""Source code as strangers pack it: a tar or tar.gz, checked member by member.

Every check is ours, made on the member's own words before anything is written. Extraction makes
regular files and folders only, each with its parent opened without following links, then links,
last. A link is accepted only if, followed through all other links of the archive, it stays inside.

Everything here blocks and is bounded by bytes and members: call it in a thread.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from shared.archive.packed import Packed
from shared.archive.root import Root
from shared.archive.tar import Reader
from shared.archive.tree import DEFAULT, Limits, Listing, Member, Tree
from shared.errors import Invalid, Transient, translate

__all__ = ["DEFAULT", "Limits", "Listing", "Member", "extract", "inspect", "read_member"]

_Stream = str | Path | BinaryIO


def inspect(source: _Stream, limits: Limits = DEFAULT, *, field: str = "source") -> Listing:
    """Read a whole archive and check everything that `extract` checks, writing nothing.

    Raises Invalid, naming `field` and the member, for what is not a sound archive of source code.
    """
    with _reader(source, limits, field) as reader:
        tree = Tree(limits, field)
        for entry in reader:
            tree.add(entry)
        return tree.listing()


def extract(
    source: _Stream, into: str | Path, limits: Limits = DEFAULT, *, field: str = "source"
) -> Listing:
    """Unpack into the folder `into`, which is made, or must be empty.

    Raises Invalid as `inspect` does, and then `into` is empty again. Files are 0644 or, if their
    owner could run them, 0755; folders are 0755; nothing else of a header is kept.
    """
    folder = Path(into)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty")
    try:
        with _reader(source, limits, field) as reader, Root(folder) as root:
            return _unpack(reader, Tree(limits, field), root)
    except BaseException:
        _empty(folder)
        raise


def read_member(
    source: _Stream,
    path: str,
    limit: int,
    limits: Limits = DEFAULT,
    *,
    field: str = "source",
) -> bytes | None:
    """The content of one file, or None when there is none of that name. Writes nothing.

    Raises Invalid when it is larger than `limit` or no regular file. Only what comes before the
    member is checked: `inspect` checks the whole.
    """
    with _reader(source, limits, field) as reader:
        tree = Tree(limits, field)
        for entry in reader:
            member = tree.add(entry)
            if member is None or member.path != path:
                continue
            if member.kind != "file":
                raise Invalid(field, f"member {path!r} is a {member.kind}; it must be a file")
            if member.size > limit:
                raise Invalid(field, f"member {path!r} is larger than the {limit} bytes allowed")
            return b"".join(reader.chunks())
    return None


@contextmanager
def _reader(source: _Stream, limits: Limits, field: str) -> Iterator[Reader]:
    # headers and padding are bytes of the tar, but not of what it holds
    total = limits.size + limits.members * 2048 + (64 << 20)
    with (
        translate({OSError: Transient}),
        open(source, "rb") if isinstance(source, str | Path) else _kept(source) as stream,
    ):
        packed = Packed(stream, limit=total, ratio=limits.ratio, field=field)
        yield Reader(packed, most=limits.members)


@contextmanager
def _kept(stream: BinaryIO) -> Iterator[BinaryIO]:
    """A stream that is its owner's to close."""
    yield stream


def _unpack(reader: Reader, tree: Tree, root: Root) -> Listing:
    for entry in reader:
        member = tree.add(entry)
        if member is None:
            continue
        match member.kind:
            case "folder":
                root.folder(member.path)
            case "file":
                root.write(member.path, reader.chunks(), executable=member.executable)
            case "hardlink":
                content = root.content(member.target)
                root.write(member.path, content, executable=member.executable)
    listing = tree.listing()
    for member in listing.members:
        if member.kind == "symlink":
            root.link(member.path, member.target)
    return listing


def _empty(folder: Path) -> None:
    for child in folder.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()
