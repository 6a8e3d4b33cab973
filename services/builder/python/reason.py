"""Why an installation failed, in the few lines of its output that say so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

LINES: Final = 6
LONGEST: Final = 600

RAISED: Final = re.compile(r"\s*(?:[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt)\b.*)")
COMPILER: Final = re.compile(r"\s*(?:\S+:\d+(?::\d+)?: )?(?:fatal )?error: ", re.IGNORECASE)
CAUSE: Final = re.compile(r"\s*(?:cause|╰─▶|├─▶|Caused by)\s*:?\s*(.*)")
NOISE: Final = ("hint:", "[stderr]", "[stdout]", "Traceback ", "File ", "warning:", "note:")
CREDENTIALS: Final = re.compile(r"([a-z][a-z0-9+.-]*://)[^/?#\s'\"`]+@", re.IGNORECASE)


def masked(text: str) -> str:
    """`text` without the user names and passwords of the addresses in it.

    >>> masked("fetching https://me:secret@example.org/simple")
    'fetching https://***@example.org/simple'
    """
    return CREDENTIALS.sub(r"\1***@", text)


def reason(lines: Sequence[str]) -> str:
    """One paragraph for a person, from the output of a failed `uv pip install`."""
    at = next((i for i, line in enumerate(lines) if line.startswith("error: ")), None)
    if at is None:
        return _short(_last(lines, 2)) or "the installer ended without saying why"
    said = [lines[at].removeprefix("error: ").strip(), *_causes(lines[at + 1 :])]
    return _short([*said, *_raised(lines[at + 1 :])])


def _causes(lines: Iterable[str]) -> list[str]:
    found = []
    for line in lines:
        if match := CAUSE.fullmatch(line):
            found.append(match[1].strip())
        elif found and line.startswith("        ") and not line.strip().startswith("["):
            continue
    return found[:LINES]


def _raised(lines: Sequence[str]) -> list[str]:
    """The error that a build ended with, and the first one that its compiler named."""
    compiler = [line.strip() for line in lines if COMPILER.match(line)]
    raised = [line.strip() for line in lines if RAISED.fullmatch(line)]
    return [*compiler[:1], *raised[-1:]]


def _last(lines: Sequence[str], count: int) -> list[str]:
    said = [line.strip() for line in lines if line.strip()]
    return [line for line in said if not line.startswith(NOISE)][-count:]


def _short(parts: Iterable[str]) -> str:
    text = masked(": ".join(part.rstrip(":") for part in dict.fromkeys(parts) if part))
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + " …"
