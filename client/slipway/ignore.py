"""Which files stay at home: the rules of .gitignore that people use, and our own defaults.

`*`, `?`, `[…]`, `**`, a leading `!` or `/`, a trailing `/`; the last rule that matches decides, and
nothing below an ignored folder comes back. Files named .gitignore count in every folder, and
.slipwayignore after them, so that `!model.pkl` in it brings back what git leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

NAMES: Final = (".gitignore", ".slipwayignore")
TOOLS: Final = ("mypy_cache", "pytest_cache", "ruff_cache", "ipynb_checkpoints", "DS_Store")
ALWAYS: Final = frozenset(
    (".git", ".hg", ".svn", ".slipway", ".venv", ".tox", "__pycache__", *(f".{t}" for t in TOOLS))
)


class Rule(msgspec.Struct, frozen=True):
    folder: str  # where it was written: "" or "a/b/"
    pattern: re.Pattern[str]
    keep: bool  # it began with !
    only_folders: bool


def rules(folder: str, text: str) -> list[Rule]:
    """The rules of one file, in order."""
    return [rule for line in text.splitlines() if (rule := _rule(folder, line)) is not None]


def read(folder: Path, inside: str, names: Sequence[str] = NAMES) -> list[Rule]:
    """The rules that the files in `folder` add."""
    found: list[Rule] = []
    for name in names:
        path = folder / name
        if path.is_file():
            found += rules(inside, path.read_text("utf-8", "replace"))
    return found


def left_behind(name: str) -> bool:
    """Whether a tool made it, and nobody wants it elsewhere."""
    return name in ALWAYS or name.endswith((".pyc", ".pyo"))


def ignored(path: str, is_folder: bool, given: Iterable[Rule]) -> bool:
    """Whether `path` (relative, with /) stays at home. Its parents have been asked already."""
    if left_behind(path.rpartition("/")[2]):
        return True
    decided = False
    for rule in given:
        below = path.removeprefix(rule.folder)
        if (is_folder or not rule.only_folders) and rule.pattern.fullmatch(below):
            decided = not rule.keep
    return decided


def _rule(folder: str, line: str) -> Rule | None:
    line = line.rstrip()
    if not line or line.startswith("#"):
        return None
    keep = line.startswith("!")
    glob = line.removeprefix("!").removeprefix("\\")
    anchored = "/" in glob.rstrip("/")
    pattern = glob.strip("/")
    if not pattern:
        return None
    return Rule(folder, _expression(pattern, anchored), keep, glob.endswith("/"))


@lru_cache(maxsize=1024)
def _expression(glob: str, anchored: bool) -> re.Pattern[str]:
    made = "" if anchored else "(?:.*/)?"
    at = 0
    while at < len(glob):
        piece, made_of = _piece(glob, at)
        made, at = made + made_of, at + piece
    return re.compile(made, re.DOTALL)


def _piece(glob: str, at: int) -> tuple[int, str]:
    """How many characters of the glob come next, and what they are as an expression."""
    if glob.startswith("**/", at):
        return 3, "(?:.*/)?"
    if glob.startswith("**", at):
        return 2, ".*"
    match glob[at]:
        case "*":
            return 1, "[^/]*"
        case "?":
            return 1, "[^/]"
        case "\\" if at + 1 < len(glob):
            return 2, re.escape(glob[at + 1])
        case "[" if (end := glob.find("]", at + 2)) > 0:
            inside = glob[at + 1 : end]
            negated = inside.startswith("!")
            chosen = inside[negated:].replace("\\", "\\\\").replace("[", "\\[")
            return end + 1 - at, f"(?!/)[{'^' if negated else ''}{chosen}]"
        case other:
            return 1, re.escape(other)
