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
OPERATORS: Final = re.compile(r"[|&;()`\n\\{}]|<<")


def script(lines: Sequence[str]) -> str:
    """What `/bin/sh -c` runs for `lines`.

    Several lines stop at the first that fails. Where the last thing to run is plainly one
    program, it takes the shell's place (`exec`), so that a stop reaches it and its exit code is
    the container's; anything that is not plain stays as it was written.
    """
    if len(lines) == 1:
        return _handed_over(lines[0])
    if not all(_complete(line) for line in lines):
        return "\n".join(["set -e", *lines])
    *first, last = lines
    return "\n".join(["set -e", *map(_checked, first), _handed_over(last)])


def _handed_over(line: str) -> str:
    if "trap" in line or "()" in line or not _complete(line):
        return line
    head, operator, tail = line.rpartition("&&")
    if not _quoted_whole(head) or not _runs_one_program(tail):
        return line
    return f"{head}{operator}{' ' if operator else ''}exec {tail.strip()}"


def _checked(line: str) -> str:
    """`set -e` does not see `a && b` fail at `a`, so ask."""
    return f"{line} || exit" if "&&" in line and "#" not in line else line


def _complete(line: str) -> bool:
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


def _runs_one_program(text: str) -> bool:
    if not _quoted_whole(text) or OPERATORS.search(_without_quotes(text)):
        return False
    words = text.split()
    return bool(words) and bool(WORD.fullmatch(words[0])) and words[0] not in BUILTINS | RESERVED


def _without_quotes(text: str) -> str:
    """What is left when quoted parts, in which operators mean nothing, are blanked.

    Double quotes keep a command substitution, which is an operator still.
    """
    single = re.sub(r"'[^']*'", "''", text)
    return re.sub(r'"[^"`(\\]*"', '""', single)
