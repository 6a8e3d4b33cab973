"""The reading side of a replica's log, written by supervisor/output.py.

Asking for the lines after a number says that those up to it have been collected: files that hold
nothing else are deleted, which makes room for new output.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from shared.database.logs import Line

PAGE: Final = 1000
_decode = msgspec.json.Decoder(Line).decode


def read(folder: Path, after: int) -> Sequence[Line]:
    """Some lines after number `after`, oldest first."""
    try:
        files = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    collected = [one for one, following in pairwise(files) if _first(following) <= after + 1]
    for file in collected:
        file.unlink(missing_ok=True)
    lines: list[Line] = []
    with suppress(FileNotFoundError):  # its replica was stopped meanwhile
        for file in files[len(collected) :]:
            lines += _lines(file, after, PAGE - len(lines))
            if len(lines) >= PAGE:
                break
    return lines


def _first(file: Path) -> int:
    return int(file.stem)


def _lines(file: Path, after: int, most: int) -> list[Line]:
    """A line that is still being written has no end yet and is left for later."""
    whole = file.read_bytes().split(b"\n")[:-1]
    start = max(0, after + 1 - _first(file))
    return [_line(file, at, whole[at]) for at in range(start, min(start + most, len(whole)))]


def _line(file: Path, at: int, content: bytes) -> Line:
    """A full disk may have cut a line, and the next one began where it ended."""
    try:
        return _decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        moment = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        text = "a line was damaged: was the disk full?"
        return Line(line=_first(file) + at, at=moment, stream="platform", text=text)
