"""Which YAML files are meant, and what they say.

A folder stands for its files that end in .yaml or .yml, by name, without hidden ones; those of its
folders count only if that was asked for. `-` is standard input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from slipway.errors import BadDocument, BadUsage, Wrong
from slipway.resources.document import Document, read
from slipway.resources.measure import DEFAULT

STDIN: Final = "-"
ENDINGS: Final = (".yaml", ".yml")


def documents(
    paths: Sequence[str | Path], *, recursive: bool = False, stdin: IO[bytes] | None = None
) -> list[Document]:
    """All documents, in the order of the files. Raises BadDocument with all that is wrong."""
    if [str(path) for path in paths].count(STDIN) > 1:
        raise BadUsage("standard input can be read once")
    found: list[Document] = []
    wrongs: list[Wrong] = []
    for path in _once(_files(paths, recursive, wrongs)):
        try:
            found += _read(path, stdin)
        except BadDocument as error:
            wrongs += error.errors
    if wrongs:
        raise BadDocument("", errors=tuple(wrongs))
    if not found:
        shown = ", ".join(map(str, paths)) or "nothing"
        raise BadDocument(f"no resource definition in {shown}", _NONE)
    return found


_NONE: Final = "each is a YAML document with kind and name; folders are read without their folders"


def _files(paths: Sequence[str | Path], recursive: bool, wrongs: list[Wrong]) -> Iterator[Path]:
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        try:
            yield from sorted(_inside(path, recursive))
        except OSError as error:
            wrongs.append(Wrong(field=str(path), message=f"cannot be read: {error.strerror}"))


def _inside(folder: Path, recursive: bool) -> Iterator[Path]:
    for entry in os.scandir(folder):
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if recursive and entry.is_dir(follow_symlinks=False):
            yield from _inside(path, recursive)
        elif entry.name.endswith(ENDINGS) and entry.is_file():
            yield path


def _once(paths: Iterable[Path]) -> Iterator[Path]:
    """A file that is named twice is one file."""
    seen: set[Path] = set()
    for path in paths:
        real = path.resolve()
        if real not in seen:
            seen.add(real)
            yield path


def _read(path: Path, stdin: IO[bytes] | None) -> list[Document]:
    most = DEFAULT.size + 1
    if str(path) == STDIN:
        given = sys.stdin.buffer if stdin is None else stdin
        return read(given.read(most), "stdin", Path.cwd())
    try:
        with path.open("rb") as file:
            content = file.read(most)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        wrong = Wrong(field=str(path), message=f"cannot be read: {why}")
        raise BadDocument("", errors=(wrong,)) from error
    return read(content, str(path), path.absolute().parent)
