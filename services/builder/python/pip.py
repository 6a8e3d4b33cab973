"""What a shell line that runs pip asks to be installed, where it does nothing else.

Such lines need neither a shell nor pip: our installer does what they say, with versions and hashes
that are decided once. Whatever is not plainly `pip install` of packages and requirements files is
none of them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from services.builder.python.pipconf import TRUE, Own
from services.builder.python.request import NOTHING, Request
from services.builder.python.requirements import vet_package
from services.builder.script import complete, without_quotes
from shared.errors import Invalid

PROGRAM: Final = re.compile(r"(?:/usr/(?:local/)?bin/)?(pip[\d.]*|python[\d.]*)")
SETTING: Final = re.compile(r"(PIP_[A-Z_]+)=(.*)", re.DOTALL)
SPECIAL: Final = re.compile(r"[|&;(){}<>#]|(?<!\S)[~=]")
"""Means more than itself to a shell, where it is not quoted ..."""
EXPANDED: Final = re.compile(r"[$`\\]")  # ... and where it is
NEWEST: Final = re.compile(r"(?<=[\w\]])>=(?=\d)")
"""A shell makes a file of `numpy>=1.20`; nobody means it."""

CONFIG: Final = "config-file"
OPTIONS: Final = {
    "-r": "requirement",
    "-i": "index-url",
    "-f": "find-links",
    "-U": "upgrade",
    "-I": "ignore-installed",
    "-q": "quiet",
    "-v": "verbose",
}
PLACES: Final = ("index-url", "extra-index-url", "find-links", "trusted-host", "cert", "no-index")
FLAGS: Final = (
    *("disable-pip-version-check", "no-cache-dir", "no-color", "no-input", "quiet", "verbose"),
    *("compile", "no-compile", "no-warn-script-location", "prefer-binary", "no-index"),
    *("break-system-packages", "force-reinstall", "ignore-installed", "upgrade", "user"),
)
"""Those that change nothing here, where nothing is installed before and nothing is kept."""
WITH_VALUES: Final = (
    *("cache-dir", "default-timeout", "timeout", "retries", "progress-bar"),
    *("root-user-action", "upgrade-strategy"),
)


class _NotPlain(Exception):
    """It is more than pip alone, or than what we know of pip."""


def read(lines: Sequence[str]) -> Request | None:
    """What all of the lines ask for; None where one of them does anything else."""
    found = NOTHING
    try:
        for words in _commands(lines):
            found = _with(found, words)
    except _NotPlain:
        return None
    return found


def _commands(lines: Sequence[str]) -> Iterator[list[str]]:
    for line in "\n".join(lines).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not complete(line) or EXPANDED.search(line):
            raise _NotPlain
        blank = NEWEST.sub("==", without_quotes(line))
        start = 0
        for part in blank.split("&&"):
            words = shlex.split(line[start : start + len(part)])
            if SPECIAL.search(part) or not words:
                raise _NotPlain
            yield words
            start += len(part) + 2


def _with(found: Request, words: list[str]) -> Request:
    """One command over those before it."""
    said: dict[str, list[str]] = {}
    left = list(words)
    while left and (setting := SETTING.fullmatch(left[0])):
        name = setting[1].removeprefix("PIP_").lower().replace("_", "-")
        said[name] = setting[2].split()
        left.pop(0)
    rest = _after_install(left)
    packages: list[str] = []
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            packages.append(word)
            continue
        name, value = _option(word, rest)
        said.setdefault(name, []).append(value)
    return _joined(found, said, packages)


def _after_install(words: list[str]) -> list[str]:
    """What follows `pip install`."""
    match = PROGRAM.fullmatch(words[0]) if words else None
    if match is None:
        raise _NotPlain
    rest = words[1:]
    if match[1].startswith("python"):
        if rest[:2] != ["-m", "pip"]:
            raise _NotPlain
        rest = rest[2:]
    while rest and rest[0].removeprefix("--") in FLAGS:
        rest = rest[1:]
    if rest[:1] != ["install"]:
        raise _NotPlain
    return rest[1:]


def _option(word: str, rest: list[str]) -> tuple[str, str]:
    """An option's long name and its value, which may be the next word."""
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
    else:
        name, value, equals = OPTIONS.get(word[:2], ""), word[2:], ""
        if name in FLAGS and value.strip(word[1]):  # `-qU`
            raise _NotPlain
    if name in FLAGS:
        return name, "1"
    if name != "requirement" and name not in WITH_VALUES and name not in PLACES:
        raise _NotPlain
    if not value and not equals:
        if not rest:
            raise _NotPlain
        value = rest.pop(0)
    return name, value


def _joined(found: Request, said: dict[str, list[str]], packages: list[str]) -> Request:
    allowed = {CONFIG, "requirement", *PLACES, *FLAGS, *WITH_VALUES}
    if not said.keys() <= allowed or not all(map(_is_package, packages)):
        raise _NotPlain
    own = Own(
        index=_last(said, "index-url"),
        extra=tuple(said.get("extra-index-url", ())),
        links=tuple(said.get("find-links", ())),
        trusted=tuple(said.get("trusted-host", ())),
        no_index=_last(said, "no-index").lower() in TRUE,
        cert=_last(said, "cert"),
    )
    return Request(
        files=_once((*found.files, *map(_plain_path, said.get("requirement", ())))),
        packages=_once((*found.packages, *packages)),
        own=found.own.with_(own),
        conf=_plain_path(_last(said, CONFIG)) or found.conf,
    )


def _is_package(word: str) -> bool:
    """Whether it is one that an index has or an address: paths are for pip itself."""
    try:
        vet_package(word)
    except Invalid:
        return False
    return True


def _last(said: dict[str, list[str]], name: str) -> str:
    return said[name][-1] if said.get(name) else ""


def _plain_path(path: str) -> str:
    """
    >>> _plain_path("./pip.conf"), _plain_path("/model/files/requirements.txt")
    ('pip.conf', 'requirements.txt')
    """
    return re.sub(r"^(?:/model/files/|(?:\./)+)", "", path)


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
