"""What a model's `payload` names, and where each of it goes: to its base name, folders whole.

Entries are relative to the YAML file; `~`, environment variables and globs expand. All that is in
a folder goes, whatever git leaves out, but for what tools leave behind and .slipwayignore says.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from slipway import ignore
from slipway.errors import BadSource, Wrong
from slipway.resources.document import Document
from slipway.source import Member, members

RULES: Final = (".slipwayignore",)
MATCHES: Final = 10_000  # of one glob
_VARIABLE: Final = re.compile(r"\$(?:\{([^}]*)\}|(\w+))")


class Bad(Exception):
    """What is wrong with one entry."""


def gather(
    document: Document, entries: Sequence[str], environ: Mapping[str, str] | None = None
) -> tuple[list[Member], list[Wrong]]:
    """The files that go, in order, and what is wrong with the entries."""
    found: dict[str, tuple[str, Path]] = {}  # base name -> the entry that names it, where it is
    wrongs: list[Wrong] = []
    for at, entry in enumerate(entries):
        where = f"payload[{at}]"
        try:
            for path in _matches(located(document.folder, entry, environ), entry):
                _place(found, path, where)
        except Bad as error:
            wrongs.append(document.wrong(where, str(error)))
    made: list[Member] = []
    for name, (where, path) in found.items():
        try:
            made += _members(name, path)
        except (Bad, BadSource) as error:
            wrongs.append(document.wrong(where, str(error)))
    return sorted(made, key=lambda member: member.name), wrongs


def located(folder: Path, entry: str, environ: Mapping[str, str] | None = None) -> str:
    """A path as it was written, from `folder`. Raises Bad for a variable that is not set."""
    known = os.environ if environ is None else environ

    def value(match: re.Match[str]) -> str:
        name = match[1] if match[1] is not None else match[2]
        if name not in known:
            raise Bad(f"{entry}: the environment variable {name} is not set")
        return known[name]

    if not entry.strip() or "\0" in entry:
        raise Bad("must name a file or a folder")
    return os.path.join(folder, os.path.expanduser(_VARIABLE.sub(value, entry)))


def _matches(pattern: str, entry: str) -> list[Path]:
    """What is there. One that is inside another goes with it."""
    if os.path.lexists(pattern):
        return [Path(pattern)]
    found = list(islice(glob.iglob(pattern, recursive=True), MATCHES + 1))
    if len(found) > MATCHES:
        raise Bad(f"{entry} matches more than {MATCHES} files; name a folder instead")
    base = _unglobbed(pattern)
    kept = [path for path in map(Path, sorted(found)) if not _junk(path, base)]
    if not kept:
        raise Bad(f"nothing is at {entry}")
    whole = {path for path in kept if path.is_dir()}
    return [path for path in kept if whole.isdisjoint(path.parents)]


def _unglobbed(pattern: str) -> int:
    """How many parts of it come before the first with a glob."""
    parts = Path(pattern).parts
    return next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts))


def _junk(path: Path, base: int) -> bool:
    return any(ignore.left_behind(part) for part in path.parts[base:])


def _place(found: dict[str, tuple[str, Path]], path: Path, where: str) -> None:
    name = path.name if path.name not in ("", "..") else path.resolve().name
    if not name:
        raise Bad(f"{path} has no name that it could be stored at")
    other = found.setdefault(name, (where, path))
    if other[1].resolve() != path.resolve():
        raise Bad(f"{path} and {other[1]} of {other[0]} would both be stored at {name}")


def _members(name: str, path: Path) -> Iterator[Member]:
    if path.is_dir():
        for member in members(path, RULES):
            yield msgspec.structs.replace(member, name=f"{name}/{member.name}")
    elif path.is_file():
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise Bad(f"the file name {name!a} is not valid UTF-8") from error
        yield Member(name=name, path=path)
    elif path.is_symlink() and not path.exists():
        raise Bad(f"the link {path} leads nowhere")
    else:
        raise Bad(f"{path} is neither a file nor a folder")
