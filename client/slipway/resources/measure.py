"""How much a YAML text asks for, told from its parser's events before anything is built of it.

Events come one by one from a parser that does not recurse, so what would exhaust the stack or the
memory is refused at the first event that proves it. An alias counts as all that it stands for.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import yaml

LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

DIRECTIVE: Final = re.compile(r"^%", re.MULTILINE)
DIRECTIVES: Final = 4  # the scanner compares each with all before it
STANDARD: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")
) | {"!"}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a text may be, all of its documents together."""

    size: int = 1_000_000  # bytes
    documents: int = 500
    depth: int = 32
    nodes: int = 100_000
    characters: int = 1_000_000
    anchors: int = 1_000
    number: int = 40  # characters of a number


DEFAULT: Final = Limits()


class TooMuch(Exception):
    """Well-formed perhaps, but more or other than is taken. `line` counts from 1."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


def measure(text: str, limits: Limits = DEFAULT) -> None:
    """Raises TooMuch, or yaml.YAMLError for what is not YAML."""
    directives = list(DIRECTIVE.finditer(text))
    if len(directives) > DIRECTIVES:
        line = text.count("\n", 0, directives[DIRECTIVES].start()) + 1
        raise TooMuch(f"more than {DIRECTIVES} directives", line)
    sizes = _Sizes(limits)
    for event in yaml.parse(text, Loader=LOADER):
        sizes.feed(event)


class _Size:
    """What a node amounts to with every alias in it written out."""

    def __init__(self, anchor: str | None, *, characters: int = 0, height: int = 0) -> None:
        self.anchor = anchor
        self.nodes = 1
        self.characters = characters
        self.height = height  # a scalar has none

    def hold(self, child: _Size) -> None:
        self.nodes += child.nodes
        self.characters += child.characters
        self.height = max(self.height, child.height + 1)


class _Sizes:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._documents = 0
        self._whole = _Size(None)
        self._open: list[_Size] = []
        self._named: dict[str, _Size] = {}  # of this document
        self._anchors: set[str] = set()
        self._line = 0

    def feed(self, event: Any) -> None:
        self._line = event.start_mark.line + 1
        match event:
            case yaml.DocumentStartEvent():
                self._document()
            case yaml.AliasEvent():
                self._alias(event.anchor or "")
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._tagged(event.tag)
                opened = _Size(event.anchor, height=1)
                self._name(opened)
                self._grow(opened)
                self._open.append(opened)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._keep(self._open.pop())

    def _document(self) -> None:
        self._documents += 1
        self._named, self._anchors = {}, set()
        self._at_most(self._documents, self._limits.documents, "documents")

    def _alias(self, name: str) -> None:
        if any(size.anchor == name for size in self._open):
            raise self._refused(f"the alias *{name[:40]} stands for what it is in")
        if name not in self._named:
            raise self._refused(f"the alias *{name[:40]} stands for nothing")
        self._grow(self._named[name])
        if self._open:
            self._open[-1].hold(self._named[name])

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._tagged(event.tag)
        if "\0" in event.value:
            raise self._refused("a NUL character is not allowed")
        size = _Size(event.anchor, characters=len(event.value))
        self._name(size)
        self._grow(size)
        self._keep(size)

    def _tagged(self, tag: str | None) -> None:
        if tag is not None and tag not in STANDARD:
            raise self._refused(f"the tag {tag[:60]!r} is not one of the standard ones")

    def _name(self, size: _Size) -> None:
        if size.anchor is None:
            return
        if size.anchor in self._anchors:
            raise self._refused(f"the anchor &{size.anchor[:40]} is there twice")
        self._anchors.add(size.anchor)
        self._at_most(len(self._anchors), self._limits.anchors, "anchors")

    def _keep(self, done: _Size) -> None:
        if done.anchor is not None:
            self._named[done.anchor] = done
        if self._open:
            self._open[-1].hold(done)

    def _grow(self, size: _Size) -> None:
        whole, limits = self._whole, self._limits
        whole.hold(size)
        if len(self._open) + size.height > limits.depth:
            raise self._refused(f"nested deeper than the {limits.depth} levels allowed")
        self._at_most(whole.nodes, limits.nodes, "values (aliases written out)")
        self._at_most(whole.characters, limits.characters, "characters (aliases written out)")

    def _at_most(self, found: int, most: int, what: str) -> None:
        if found > most:
            raise self._refused(f"more than {most} {what}")

    def _refused(self, what: str) -> TooMuch:
        return TooMuch(what, self._line)
