"""What the documentation tells people to type: read from it, and sorted by what a test does with it.

Pure. Commands stand in fenced blocks marked `sh` or `python`; other blocks are drawings, and one
that holds a command all the same is `stray`. What no rule knows has no `Kind`, so that documentation
which nothing runs is found.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from enum import Enum
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

PROGRAMS: Final = frozenset(
    {"slipway", "python", "python3", "make", "curl", "export", "pip", "helm", "kubectl"}
)
"""What a command of ours begins with, wherever it is installed."""

INLINE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK: Final = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


class Kind(Enum):
    RUN = "is run, and ends with 0"
    FOLLOW = "goes on until Ctrl-C"
    SETTING = "sets a variable for what follows"
    MAKE = "is a target of the Makefile"
    SERVICE = "runs a service in the foreground"
    PYTHON = "is a Python program"
    CLUSTER = "is run on a cluster, and ends with 0"


class Command(NamedTuple):
    file: str
    line: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}: {self.text.splitlines()[0]}"

    @property
    def words(self) -> list[str]:
        """As a shell would split it, without its comment."""
        return shlex.split(self.text.replace("\\\n", " "), comments=True)


class Block(NamedTuple):
    file: str
    line: int  # of its first line of text
    language: str  # "" for none, "indented" for one without a fence
    lines: list[str]

    @property
    def commands(self) -> list[Command]:
        """Line by line; a Python program is one. Lines that end with a backslash go on."""
        if self.language == "python":
            return [Command(self.file, self.line, "\n".join(self.lines))]
        return list(_commands(self))


def pages(root: Path) -> list[Path]:
    """Where people read how to use the platform, in the order of reading."""
    return [
        root / "README.md",
        *sorted((root / "docs").rglob("*.md")),
        *sorted((root / "examples").glob("*/README.md")),
        root / "client" / "README.md",
    ]


def blocks(file: str, text: str) -> list[Block]:
    """Its fenced blocks, and those that are blocks because they are indented."""
    found: list[Block] = []
    fence = ""
    before = ""
    for number, line in enumerate(text.splitlines(), start=1):
        mark = re.match(r"(```+) *(\w*) *$", line)
        if fence:
            if mark and mark[1] == fence and not mark[2]:
                fence = ""
            else:
                found[-1].lines.append(line)
        elif mark:
            fence = mark[1]
            found.append(Block(file, number + 1, mark[2], []))
        elif line.startswith("    "):
            if not before.startswith("    "):
                found.append(Block(file, number, "indented", []))
            found[-1].lines.append(line[4:])
        before = "" if fence else line
    return found


def stray(block: Block) -> list[Command]:
    """Commands in a block that is not marked as one of commands."""
    if block.language in ("sh", "python"):
        return []
    return [command for command in _commands(block) if _program(command.text) in PROGRAMS]


def kind(command: Command) -> Kind | None:
    """What a test does with a line of a `sh` block; None when no rule knows."""
    match command.words:
        case [program, *rest] if program in ("slipway", ".venv/bin/slipway"):
            follows = {"--follow", "-f"} & set(rest) and rest[0] != "apply"  # whose -f is a file
            return Kind.FOLLOW if follows else Kind.RUN
        case ["curl", *_]:
            return Kind.RUN
        case ["export", setting] if "=" in setting:
            return Kind.SETTING
        case ["make", _]:
            return Kind.MAKE
        case ["helm" | "kubectl", *_]:
            return Kind.CLUSTER
        case [program, "-m", module, *_] if program in ("python", ".venv/bin/python"):
            if re.fullmatch(r"services\.\w+", module):
                return Kind.SERVICE
            return Kind.RUN if module == "services.api.first" else None
    return None


def inline(file: str, text: str) -> list[Command]:
    """Commands and names between backticks, outside of blocks."""
    inside = {
        number
        for block in blocks(file, text)
        for number in range(block.line, block.line + len(block.lines))
    }
    return [
        Command(file, number, found)
        for number, line in enumerate(text.splitlines(), start=1)
        if number not in inside
        for found in INLINE.findall(line)
    ]


def links(file: str, text: str) -> list[Command]:
    """Targets of its links, those into the web left out."""
    return [
        Command(file, number, target)
        for number, line in enumerate(text.splitlines(), start=1)
        for target in LINK.findall(line)
        if not re.match(r"\w+:", target)
    ]


def anchors(text: str) -> set[str]:
    """The names by which a page's headings can be linked to, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


def table(text: str, *header: str) -> list[list[str]]:
    """The cells of the rows of the table with this header."""
    lines = iter(text.splitlines())
    while _cells(next(lines)) != list(header):
        pass
    next(lines)
    return [_cells(line) for line in takewhile(lambda line: line.startswith("|"), lines)]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


def _commands(block: Block) -> Iterator[Command]:
    start, text = 0, ""
    for number, line in enumerate(block.lines, start=block.line):
        start, text = (start, f"{text}\n{line}") if text else (number, line)
        if line.endswith("\\"):
            continue
        if text.strip() and not text.lstrip().startswith("#"):
            yield Command(block.file, start, text)
        text = ""
    if text:
        yield Command(block.file, start, text)


def _program(text: str) -> str:
    return text.split()[0].rpartition("/")[2]
