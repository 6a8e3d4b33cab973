"""YAML as its owner wrote it: plain values, and the line on which each of them stands.

Values are those of YAML 1.1, as Hydrosphere's users know them, but for dates and numbers in base
60: `2026-11-21` and `12:30` stay the text that they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml
from yaml.constructor import ConstructorError, SafeConstructor

from slipway.errors import BadDocument, Wrong
from slipway.resources.measure import DEFAULT, LOADER, Limits, TooMuch, measure

T = TypeVar("T")

_MERGE: Final = "tag:yaml.org,2002:merge"
_TEXT: Final = "tag:yaml.org,2002:str"
_UNREAD: Final = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
_NUMBERS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document of a file. `lines` knows a path such as `pipeline[0][1].weight`."""

    source: str  # claims.yaml#2
    folder: Path  # what paths in it are relative to
    body: Any
    lines: dict[str, int] = {}

    def line(self, path: str) -> int:
        """Where `path` stands, or what it would stand in."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, 1)

    def wrong(self, path: str, message: str) -> Wrong:
        """What is wrong at `path`, as it is told."""
        field = f"{self.source}: {path}" if path else self.source
        return Wrong(field=field, message=f"{message} (line {self.line(path)})")


def read(text: bytes, name: str, folder: Path, limits: Limits = DEFAULT) -> list[Document]:
    """The documents of one file that say something, in order.

    Raises BadDocument, with the line, for what is no YAML, is more than `limits` allow, or could be
    read in two ways.
    """
    if len(text) > limits.size:
        raise _bad(name, f"larger than the {limits.size} bytes allowed")
    try:
        decoded = text.decode("utf-8-sig")
        measure(decoded, limits)
        nodes = list(yaml.compose_all(decoded, Loader=_Loader))
        return [
            _document(root, f"{name}#{at}", folder, limits)
            for at, root in enumerate(nodes, 1)
            if root is not None and root.tag != "tag:yaml.org,2002:null"
        ]
    except UnicodeDecodeError as error:
        raise _bad(name, "not UTF-8 text") from error
    except TooMuch as error:
        raise _bad(name, f"{error} (line {error.line})") from error
    except yaml.MarkedYAMLError as error:
        raise _bad(name, f"not valid YAML: {_where(error)}") from error
    except yaml.YAMLError as error:
        raise _bad(name, f"not valid YAML: {str(error).splitlines()[0]}") from error


def _bad(where: str, message: str) -> BadDocument:
    return BadDocument("", errors=(Wrong(field=where, message=message),))


def _where(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    what = (error.problem or error.context or "malformed")[:200]
    return f"{what} (line {mark.line + 1}, column {mark.column + 1})" if mark else what


class _Loader(LOADER):  # type: ignore[misc, valid-type]
    """Dates and `=` are left as text."""

    yaml_implicit_resolvers: Final = {
        first: [(tag, looks) for tag, looks in kinds if tag not in _UNREAD]
        for first, kinds in LOADER.yaml_implicit_resolvers.items()
    }


def _document(root: yaml.Node, source: str, folder: Path, limits: Limits) -> Document:
    lines: dict[str, int] = {}
    body = _Values(lines, limits).value(root, "")
    return Document(source=source, folder=folder, body=body, lines=lines)


class _Values:
    """Builds values from nodes that are known to be few and not deep."""

    def __init__(self, lines: dict[str, int], limits: Limits) -> None:
        self._lines = lines
        self._limits = limits

    def value(self, node: yaml.Node, path: str) -> Any:
        self._lines.setdefault(path, _line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, f"{path}[{at}]") for at, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            name = self._key(key)
            if key.tag == _MERGE:
                for base in self._bases(value):
                    merged = {**self._mapping(base, path), **merged}
                continue
            if name in own:
                raise TooMuch(f"the key {name[:40]!r} is there twice in one mapping", _line(key))
            below = f"{path}.{name}" if path else name
            self._lines[below] = _line(key)
            own[name] = self.value(value, below)
        return {**merged, **own}

    def _key(self, key: yaml.Node) -> str:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (_TEXT, _MERGE):
            raise TooMuch("a key is not text; put it in quotes", _line(key))
        return str(key.value)

    def _bases(self, value: yaml.Node) -> Iterator[yaml.MappingNode]:
        nodes = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for node in nodes:
            if not isinstance(node, yaml.MappingNode):
                raise TooMuch("<< merges mappings, and this is none", _line(value))
            yield node

    def _scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        if node.tag in _NUMBERS:
            if ":" in text:
                return text
            if len(text) > self._limits.number:
                raise TooMuch(
                    f"a number of more than {self._limits.number} characters", _line(node)
                )
        try:
            found = SafeConstructor().construct_object(node)
        except (ConstructorError, ValueError, KeyError, IndexError, OverflowError) as error:
            raise TooMuch("a value does not fit its type", _line(node)) from error
        if isinstance(found, float) and not math.isfinite(found):
            raise TooMuch(f"{text} is not a number that can be sent", _line(node))
        if isinstance(found, int) and not _LEAST <= found <= _MOST:
            raise TooMuch(f"{text} is more than 64 bits hold", _line(node))
        return found


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
