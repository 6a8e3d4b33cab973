"""A step as the shell script that does it, and which of its lines failed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from services.builder.engines import Step
from services.builder.script import complete
from shared.packages import is_apt, is_conda

SHOWN: Final = 120  # characters of a line in a message
NO_TOOL: Final = 69
ALWAYS: Final = {
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "315532800",  # 1980, the first year that a wheel can hold
    "TZ": "UTC",
}

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Unit(NamedTuple):
    """What the shell is given at a time, and how it is shown to a person."""

    shell: str
    shown: str
    strict: bool = False  # it ends where any of its commands fails, not only its last


def apt(packages: Sequence[str]) -> tuple[Unit, ...]:
    """Install packages of the base's distribution. Raises ValueError for what is no name.

    >>> apt(["ffmpeg"])[-1].shown
    'apt-get install -y --no-install-recommends ffmpeg'
    """
    if not packages:
        return ()
    _vet(packages, is_apt, "apt")
    install = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    lacks = _lacks("apt-get", "apt packages")
    update = Unit(f"command -v apt-get >/dev/null || {lacks}\napt-get update", "apt-get update")
    return (update, Unit(install, _short(install)))


def conda(packages: Sequence[str]) -> tuple[Unit, ...]:
    """Install conda packages with the tool that the base has. Raises ValueError likewise."""
    if not packages:
        return ()
    _vet(packages, is_conda, "conda")
    names = " ".join(map(shlex.quote, packages))
    found = " || ".join(f"command -v {tool}" for tool in ("micromamba", "mamba", "conda"))
    lacks = _lacks("conda, mamba or micromamba", "conda packages")
    shell = f'conda_tool=$({found}) || {lacks}\n"$conda_tool" install -y {names}'
    return (Unit(shell, _short(f"conda install -y {names}")),)


def _vet(packages: Sequence[str], allowed: Callable[[str], bool], kind: str) -> None:
    for package in packages:
        if not allowed(package):
            raise ValueError(f"{package[:40]!r} is not the name of a package for {kind}")


def _lacks(tool: str, what: str) -> str:
    said = shlex.quote(f"the base image has no {tool}, so {what} can not be installed")
    return f"{{ echo {said} >&2; exit {NO_TOOL}; }}"


def units(step: Step) -> tuple[Unit, ...]:
    """What the shell is given one after the other: lines, or all lines when some span others."""
    given = tuple(line for line in step.lines if line.strip())
    whole = len(given) == 1 or all(map(complete, given))
    own = [Unit(line, _short(line)) for line in given]
    if not whole:
        own = [Unit("\n".join(given), _short("\n".join(given)), strict=True)]
    return (*apt(step.apt), *conda(step.conda), *own)


def _short(text: str) -> str:
    first, _, more = text.strip().partition("\n")
    return f"{first[:SHOWN]} …" if more or len(first) > SHOWN else first


def script(step: Step, mark: str) -> str:
    """What `/bin/sh` reads. Before each unit it says `mark` and the unit's number on stdout."""
    environment = {**ALWAYS, **step.env}
    exports = [
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(environment.items())
        if NAME.fullmatch(name)
    ]
    body = [f"echo {mark}{number}\n{_guarded(unit)}" for number, unit in enumerate(units(step))]
    return "\n".join([*exports, f"cd {shlex.quote(step.cwd)} || exit", *body, ""])


def _guarded(unit: Unit) -> str:
    shell = f"eval {shlex.quote(unit.shell)}"
    # a shell forgets `set -e` in all that stands before `||`
    return f"set -e\n{shell}\nset +e" if unit.strict else f"{shell} || exit"
