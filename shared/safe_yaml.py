"""YAML from strangers: a document is measured by its parser's events before anything is built.

Events come one by one from a parser that does not recurse. What would exhaust the stack or the
memory of the process is refused at the first event that proves it: composing and constructing,
which do recurse and do expand aliases, only ever see a document known to be small.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import yaml

from shared.errors import Invalid


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a document may be. `nodes` and `characters` count an alias as what it stands for."""

    size: int = 1_000_000  # bytes
    depth: int = 32
    nodes: int = 20_000
    characters: int = 4_000_000
    anchors: int = 1_000
    number: int = 40  # characters of a number


DEFAULT: Final = Limits()

_STANDARD: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")
) | {"!"}
_NUMBERS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_KEYS: Final = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
_DIRECTIVE: Final = re.compile(r"^%", re.MULTILINE)
_DIRECTIVES: Final = 4  # the scanner compares each with all before it


def load(text: bytes | str, field: str, limits: Limits = DEFAULT) -> object:
    """The one document in `text`, made of plain dicts with text keys, lists and scalars.

    None when there is no document. Raises Invalid, naming `field`, for everything that is not
    well-formed, is more than `limits` allow, or could be read in two ways.
    """
    try:
        decoded = _decoded(text, limits)
        _measure(decoded, limits)
        return _constructed(decoded)
    except _Refused as error:
        raise Invalid(field, str(error)) from error
    except yaml.MarkedYAMLError as error:
        raise Invalid(field, f"is not valid YAML: {_where(error)}") from error
    except yaml.YAMLError as error:
        raise Invalid(field, f"is not valid YAML: {str(error).splitlines()[0]}") from error
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        # the constructor's way to say that a scalar is not what its tag says, as in `!!int x`
        raise Invalid(field, "is not valid YAML: a value does not fit its type") from error


class _Refused(Exception):
    """Well-formed perhaps, but more or other than we take."""


def _where(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    what = (error.problem or error.context or "malformed")[:200]
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else what


def _decoded(text: bytes | str, limits: Limits) -> str:
    if len(text) > limits.size:
        raise _Refused(f"is larger than the {limits.size} bytes allowed")
    try:
        encoded = text if isinstance(text, bytes) else text.encode()
        decoded = encoded.decode("utf-8-sig")
    except UnicodeError as error:
        raise _Refused("is not UTF-8 text") from error
    if len(encoded) > limits.size:
        raise _Refused(f"is larger than the {limits.size} bytes allowed")
    if len(_DIRECTIVE.findall(decoded)) > _DIRECTIVES:
        raise _Refused(f"has more than {_DIRECTIVES} directives")
    return decoded


class _Size:
    """What a node amounts to when every alias in it is written out."""

    def __init__(self, anchor: str | None = None, *, characters: int = 0, height: int = 0) -> None:
        self.anchor = anchor
        self.nodes = 1
        self.characters = characters
        self.height = height  # a scalar has none

    def hold(self, child: _Size) -> None:
        self.nodes += child.nodes
        self.characters += child.characters
        self.height = max(self.height, child.height + 1)


class _Measure:
    """The collections that are open, those that have a name, and the whole so far."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: list[_Size] = []
        self._named: dict[str, _Size] = {}
        self._anchors: set[str] = set()
        self._whole = _Size()

    def opened(self, anchor: str | None) -> None:
        collection = _Size(anchor, height=1)
        self._name(anchor)
        self._grow(collection)
        self._open.append(collection)

    def closed(self) -> None:
        done = self._open.pop()
        self._keep(done)

    def scalar(self, anchor: str | None, characters: int) -> None:
        scalar = _Size(anchor, characters=characters)
        self._name(anchor)
        self._grow(scalar)
        self._keep(scalar)

    def alias(self, anchor: str) -> None:
        if any(size.anchor == anchor for size in self._open):
            raise _Refused(f"contains itself through the alias *{anchor[:40]}")
        if anchor not in self._named:
            raise _Refused(f"uses the alias *{anchor[:40]}, which stands for nothing")
        self._grow(self._named[anchor])
        if self._open:
            self._open[-1].hold(self._named[anchor])

    def _name(self, anchor: str | None) -> None:
        if anchor is None:
            return
        if anchor in self._anchors:
            raise _Refused(f"has the anchor &{anchor[:40]} twice")
        self._anchors.add(anchor)
        if len(self._anchors) > self._limits.anchors:
            raise _Refused(f"has more than the {self._limits.anchors} anchors allowed")

    def _keep(self, done: _Size) -> None:
        if done.anchor is not None:
            self._named[done.anchor] = done
        if self._open:
            self._open[-1].hold(done)

    def _grow(self, size: _Size) -> None:
        whole, limits = self._whole, self._limits
        whole.hold(size)
        if len(self._open) + size.height > limits.depth:
            raise _Refused(f"is nested deeper than the {limits.depth} levels allowed")
        if whole.nodes > limits.nodes:
            raise _Refused(f"has more than the {limits.nodes} nodes allowed, aliases written out")
        if whole.characters > limits.characters:
            raise _Refused(
                f"has more than the {limits.characters} characters allowed, aliases written out"
            )


def _measure(text: str, limits: Limits) -> None:
    measure, documents = _Measure(limits), 0
    for event in _events(text):
        match event:
            case yaml.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    raise _Refused("has more than one document; only one is allowed")
            case yaml.ScalarEvent():
                _check_tag(event.tag)
                _check_scalar(event, limits)
                measure.scalar(event.anchor, len(event.value))
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                _check_tag(event.tag)
                measure.opened(event.anchor)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                measure.closed()
            case yaml.AliasEvent():
                measure.alias(event.anchor or "")


def _events(text: str) -> Iterator[Any]:
    return yaml.parse(text, Loader=yaml.CSafeLoader)


def _check_tag(tag: str | None) -> None:
    if tag is not None and tag not in _STANDARD:
        raise _Refused(f"uses the tag {tag[:60]!r}; only the standard ones are allowed")


def _check_scalar(event: yaml.ScalarEvent, limits: Limits) -> None:
    if "\0" in event.value:
        raise _Refused("contains a NUL character")
    if len(event.value) > limits.number and _is_number(event):
        raise _Refused(f"has a number of more than the {limits.number} characters allowed")


def _is_number(event: yaml.ScalarEvent) -> bool:
    if event.tag is not None:
        return event.tag in _NUMBERS
    return event.implicit[0] and _resolved(event.value) in _NUMBERS


def _resolved(value: str) -> str | None:
    """The tag that a plain scalar gets by its looks."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(value[:1], ())
    return next((tag for tag, looks in resolvers if looks.match(value)), None)


def _constructed(text: str) -> object:
    loader = yaml.CSafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _check_keys(root)
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _check_keys(root: yaml.Node) -> None:
    """Before construction, which lets the last of two keys win, and merging, which repeats keys."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            _check_mapping(node)
            children = [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        waiting += [child for child in children if id(child) not in seen]
        seen.update(map(id, children))


def _check_mapping(node: yaml.MappingNode) -> None:
    keys: set[str] = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEYS:
            raise _Refused(f"has a key on line {line} that is not text; put it in quotes")
        if key.value in keys:
            raise _Refused(f"has the key {key.value[:40]!r} twice in one mapping, on line {line}")
        keys.add(key.value)
