"""What is said about one document: what is wrong with it, and what its owner should know."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any, Final

from services.api.formats import checks
from services.api.formats.checks import Wrongs, short

KINDS: Final = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping",
    "NoneType": "nothing",
}
_NOTES: Final = 50
_TEXT: Final = 10_000


class Report:
    """Paths are as the document's owner wrote them: `contract.inputs.x.shape`."""

    def __init__(self, index: int, source: str, wrongs: Wrongs) -> None:
        self._at = f"documents[{index}]"
        self._source = checks.title(source[:200])
        self._wrongs = wrongs
        self._notes: list[str] = []
        self._unknown: list[tuple[str, str]] = []  # keys, and where they are
        self.count = 0  # of what is wrong

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def wrong(self, path: str, message: str) -> None:
        self.count += 1
        field = f"{self._at}.{path}" if path else self._at
        self._wrongs.add(field, f"{self._source}: {message}" if self._source else message)

    def lacks(self, path: str, message: str) -> None:
        """It is wrong that nothing is there; a key that is almost the right one is told as well."""
        parent, _, name = path.rpartition(".")
        there = [key for at, key in self._unknown if at == parent]
        near = difflib.get_close_matches(name, there, 1)
        self.wrong(path, message + (f"; is {near[0]} meant to be {name}?" if near else ""))

    def note(self, path: str, message: str) -> None:
        said = f"{path}: {message}" if path else message
        if len(self._notes) < _NOTES and said not in self._notes:
            self._notes.append(said)

    def mapping(self, value: object, path: str) -> dict[str, Any] | None:
        """`value` if it is a mapping; nothing at all is an empty one."""
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.wrong(path, f"is {kind(value)}; it must be a mapping")
        return None

    def items(self, value: object, path: str, most: int) -> list[Any]:
        """`value` if it is a list of not too many."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(path, f"is {kind(value)}; it must be a list")
            return []
        if len(value) > most:
            self.wrong(path, f"has {len(value)} items; allowed: {most}")
        return value[:most]

    def text(self, value: object, path: str, *, most: int = _TEXT) -> str:
        """`value` if it is text that may be kept, else ""."""
        if value is None or value == "":
            return ""
        if not isinstance(value, str):
            self.wrong(path, f"is {kind(value)}; it must be text")
        elif len(value) > most:
            self.wrong(path, f"is longer than the {most} characters allowed")
        elif checks.unstorable(value):
            self.wrong(path, "contains a NUL character or a lone surrogate")
        else:
            return value
        return ""

    def whole(self, value: object, path: str, least: int, most: int) -> int | None:
        """`value` if it is a whole number in range; `3.0` is one."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(path, f"{short(value)} is not a whole number from {least} to {most}")
            return None
        return value

    def ignore(self, mapping: Mapping[str, Any], known: Collection[str], path: str = "") -> None:
        """Note the keys that nobody knows."""
        for key in mapping:
            if key not in known:
                if len(self._unknown) < _NOTES:
                    self._unknown.append((path, checks.title(key[:40])))
                self.note(below(path, key), f"is not known and is ignored; known: {_listed(known)}")


def kind(value: object) -> str:
    return KINDS.get(type(value).__name__, "something else")


def below(path: str, key: str) -> str:
    """The path of a key, which may be anything that people make up."""
    safe = checks.title(key[:40])
    return f"{path}.{safe}" if path else safe


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
