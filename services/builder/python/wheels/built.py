"""What a step that built packages left: its files, read from its layer and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from services.builder.python.requirements import normal
from services.builder.python.wheels.kit import OUT
from services.builder.python.wheels.pylock import Found
from shared.archive.packed import Packed
from shared.archive.tar import Reader
from shared.errors import Invalid, Transient, translate

WHEEL: Final = re.compile(
    r"(?P<name>[\w.]+)-(?P<version>[\w.+!]+)(?:-\d[\w.]*)?(?:-[\w.]+){3}\.whl",
    re.ASCII,
)
DECIDED: Final = "pylock.toml"
LONGEST: Final = 200  # characters of a name
MEMBERS: Final = 1_000_000  # of the layer, whatever they are
MOST: Final = 1_000  # files
LARGEST: Final = 4 << 30  # bytes of them together
RATIO: Final = 1_000

COMPILER: Final = (
    (
        re.compile(
            r"\b(?:cargo|rustc?)\b.*(?:not (?:found|installed)|No such file)|can't find Rust", re.I
        ),
        "Rust",
    ),
    (
        re.compile(
            r"['\"`/](?:[\w-]+-)?(?:gcc|g\+\+|cc|c\+\+|clang)['\"`]?.*No such file"
            r"|No such file.*['\"`/-](?:gcc|g\+\+|cc|c\+\+|clang)\b"
            r"|(?:unknown|acceptable) (?:C )?compiler|CMAKE_C\w*_COMPILER"
            r"|(?:gcc|g\+\+|cc|c\+\+|clang): (?:command )?not found",
            re.IGNORECASE,
        ),
        "a C compiler (the apt package build-essential)",
    ),
    (
        re.compile(r"\bPython\.h: No such file"),
        "Python's own headers (the apt package python3-dev)",
    ),
)


def lacks(said: Iterable[str]) -> str:
    """What a base image has to have for what failed in it, or nothing that we know of.

    >>> lacks(["error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory"])
    'a C compiler (the apt package build-essential)'
    """
    lines = list(said)
    found = (need for pattern, need in COMPILER if any(map(pattern.search, lines)))
    return next(found, "")


def chosen(needed: Iterable[Found], files: Iterable[str], *, exactly: bool) -> dict[str, str]:
    """The wheel of each package, by name, where there is one of it.

    Other wheels may lie beside them, of what they were built with. Unless it is to be `exactly`
    the version that was decided on, the only wheel of a name will do, however it writes that.
    """
    wheels: dict[str, dict[str, str]] = {}
    for file in sorted(files):
        if match := WHEEL.fullmatch(file):
            wheels.setdefault(normal(match["name"]), {})[match["version"]] = file
    found = {}
    for pin in (one.pin for one in needed):
        some = wheels.get(pin.name, {})
        wheel = some.get(pin.version)
        if wheel is None and len(some) == 1 and not exactly:
            wheel = next(iter(some.values()))
        if wheel is not None:
            found[pin.name] = wheel
    return found


def version(wheel: str) -> str:
    match = WHEEL.fullmatch(wheel)
    return match["version"] if match else ""


def take(layer: Path, into: Path) -> list[str]:
    """Write the files that lie in OUT into a folder: their names. Blocks. Raises Invalid."""
    names: list[str] = []
    left = LARGEST
    size = layer.stat().st_size
    with translate({OSError: Transient}), layer.open("rb") as file:
        reader = Reader(
            Packed(file, limit=size, ratio=RATIO, field="packages"), most=MEMBERS, special=True
        )
        for entry in reader:
            folder, _, name = f"/{entry.name}".rpartition("/")
            if entry.kind != "file" or folder != OUT:
                continue
            left -= entry.size
            if left < 0 or len(names) == MOST:
                raise Invalid("packages", "building made too much")
            if len(name) > LONGEST or not (WHEEL.fullmatch(name) or name == DECIDED):
                continue
            with (into / name).open("wb") as out:
                out.writelines(reader.chunks())
            names.append(name)
    return names
