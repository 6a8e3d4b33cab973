"""A server's shell lines as one script, in which signals reach the server and failures count."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

_RESERVED = "if then else elif fi for while until do done case esac in function time { } ! [[ ]]"
_BUILTINS = """. : [ alias bg break cd command continue echo eval exec exit export false fg getopts
    hash jobs kill local printf pwd read readonly return set shift source test times trap true
    type ulimit umask unalias unset wait"""
RESERVED: Final = frozenset(_RESERVED.split())
BUILTINS: Final = frozenset(_BUILTINS.split())

WORD: Final = re.compile(r"[\w./~@%+:-]+")
OPERATORS: Final = re.compile(r"[|&;()`\n\\{}<>]")
QUOTED: Final = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")
EVALUATED: Final = re.compile(r"\"[^\"]*(?:`|\$\()")  # quoted, and yet run


def script(lines: Sequence[str]) -> str:
    """What `/bin/sh -c` runs for `lines`.

    Several lines stop at the first that fails. Where the last thing to run is plainly one
    program, it takes the shell's place (`exec`), so that a stop reaches it and its exit code is
    the container's; anything that is not plain stays as it was written.
    """
    if len(lines) == 1:
        return _handed_over(lines[0])
    if not all(complete(line) for line in lines):
        return "\n".join(["set -e", *lines])
    *first, last = lines
    return "\n".join(["set -e", *map(_checked, first), _handed_over(last)])


def _handed_over(line: str) -> str:
    blank = without_quotes(line)
    if "trap" in line or not complete(line) or "\\" in blank or EVALUATED.search(line):
        return line
    at = blank.rfind("&&") + 2 if "&&" in blank else 0
    if not _is_one_program(line[at:].split(), blank[at:]):
        return line
    return f"{line[:at]}{' ' if at else ''}exec {line[at:].strip()}"


def _checked(line: str) -> str:
    """`set -e` does not see `a && b` fail at `a`, so ask."""
    return f"{line} || exit" if "&&" in line and "#" not in line else line


def complete(line: str) -> bool:
    """Whether a line is a command of its own and not a part of something that spans lines."""
    text = line.strip()
    if not text or not _quoted_whole(text) or "<<" in text or "\n" in text or "()" in text:
        return False
    words = set(text.replace(";", " ").split())
    return not words & RESERVED and not text.endswith(("\\", "|", "&", ";", "(", "{"))


def _quoted_whole(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True


def _is_one_program(words: Sequence[str], blank: str) -> bool:
    if not words or OPERATORS.search(blank):
        return False
    return bool(WORD.fullmatch(words[0])) and words[0] not in BUILTINS | RESERVED


def without_quotes(text: str) -> str:
    """The text, just as long, with what is quoted blanked: operators mean nothing there."""
    return QUOTED.sub(lambda found: "_" * len(found[0]), text)
