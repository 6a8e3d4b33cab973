"""An inference request over HTTP, as the Open Inference Protocol writes it in JSON: pure.

With the binary data extension the elements of some tensors stand behind the JSON, one tensor after
the other, and Inference-Header-Content-Length says where the JSON ends.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from services.router.inference.datatypes import DATATYPES
from services.router.inference.errors import bad
from services.router.inference.given import RANK, Given

MOST: Final = 1000  # tensors of a request
SIZE: Final = "binary_data_size"
SHARED: Final = "shared_memory_region"

Name = Annotated[str, Meta(max_length=1000)]
Size = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Parameters = dict[str, Any]


class Input(msgspec.Struct, frozen=True, kw_only=True):
    name: Name
    datatype: Name
    shape: Annotated[list[Size], Meta(max_length=RANK)]
    parameters: Parameters = {}
    data: Raw | UnsetType = UNSET


class Output(msgspec.Struct, frozen=True, kw_only=True):
    name: Name
    parameters: Parameters = {}


class Document(msgspec.Struct, frozen=True, kw_only=True):
    id: Name = ""
    parameters: Parameters = {}
    inputs: Annotated[list[Input], Meta(max_length=MOST)]
    outputs: Annotated[list[Output], Meta(max_length=MOST)] = []


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants to get."""

    id: str
    wanted: list[str]  # none: all
    binary: frozenset[str]  # of `wanted`, as bytes
    all_binary: bool  # when none are named

    def as_bytes(self, output: str) -> bool:
        return output in self.binary if self.wanted else self.all_binary


class Asked(Wishes, frozen=True, kw_only=True):
    given: list[Given]


_OPENED: Final = re.compile(rb"[\[ \t\r\n]*")
_DOCUMENT: Final = msgspec.json.Decoder(Document)


def read(body: bytes, header: int | None) -> Asked:
    """`header`: how much of `body` is JSON; None: all of it. Raises GatewayError."""
    if header is not None and header > len(body):
        raise bad(f"Inference-Header-Content-Length is {header}; the body has {len(body)} bytes")
    document = _document(body if header is None else body[:header])
    binary = _bool(document.parameters, "binary_data_output", "parameters")
    rest = memoryview(body)[len(body) if header is None else header :]
    given, left = _inputs(document.inputs, rest)
    if left:
        raise bad(f"{left} bytes stand behind the binary data of the inputs")
    for index, output in enumerate(document.outputs):
        _not_offered(output.parameters, f"outputs[{index}].parameters")
    return Asked(
        id=document.id,
        given=given,
        wanted=[output.name for output in document.outputs],
        binary=frozenset(
            output.name
            for index, output in enumerate(document.outputs)
            if _bool(output.parameters, "binary_data", f"outputs[{index}].parameters", binary)
        ),
        all_binary=binary,
    )


def _document(data: bytes) -> Document:
    try:
        return _DOCUMENT.decode(data)
    except msgspec.ValidationError as error:
        raise bad(_placed(error, "")) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad(f"This is not JSON: {_short(error)}") from None


def _inputs(inputs: list[Input], rest: memoryview) -> tuple[list[Given], int]:
    """The inputs, and how much of `rest` belongs to none of them."""
    found: list[Given] = []
    begin = 0
    for index, each in enumerate(inputs):
        at = f"inputs[{index}]"
        _not_offered(each.parameters, f"{at}.parameters")
        size = each.parameters.get(SIZE)
        if size is None:
            found.append(_given(each, at, values=_values(each, at)))
            continue
        if type(size) is not int or size < 0:
            raise bad(f"{at}.parameters.{SIZE}: must be a number of bytes")
        if each.data is not UNSET:
            raise bad(f"{at}: either `data` or {SIZE} says what the elements are, not both")
        if begin + size > len(rest):
            raise bad(f"{at}.parameters.{SIZE}: {size} bytes; {len(rest) - begin} are there")
        found.append(_given(each, at, raw=rest[begin : begin + size]))
        begin += size
    return found, len(rest) - begin


def _given(each: Input, at: str, **elements: Any) -> Given:
    return Given(at=at, name=each.name, datatype=each.datatype, shape=tuple(each.shape), **elements)


def _values(each: Input, at: str) -> list[Any]:
    """The elements, whether they are nested as the shape has it or not at all."""
    if each.data is UNSET:
        raise bad(f"{at}.data: is missing")
    if each.datatype not in DATATYPES:
        return []  # which is said when it is compared with what the model takes
    data = bytes(each.data)
    depth = _depth(data)
    if depth > max(1, len(each.shape)):
        raise bad(f"{at}.data: is nested {depth} deep; the shape has {len(each.shape)} sizes")
    found = _elements(data, each.datatype, depth, f"{at}.data")
    return [text.encode() for text in found] if each.datatype == "BYTES" else found


def _elements(data: bytes, datatype: str, depth: int, at: str) -> list[Any]:
    kind = _element(datatype)
    try:
        return _flat(data, kind, depth)
    except msgspec.ValidationError as error:
        if kind is not float:
            raise bad(_placed(error, at)) from None
    try:
        words = _flat(data, float | Literal["NaN", "Infinity", "-Infinity"], depth)
    except msgspec.ValidationError as error:
        raise bad(_placed(error, at)) from None
    return list(map(float, words))


def _flat(data: bytes, kind: Any, depth: int) -> list[Any]:
    decoded = _decoder(kind, depth).decode(data)
    found: list[Any] = decoded if depth else [decoded]
    for _ in range(depth - 1):
        found = list(chain.from_iterable(found))
    return found


def _depth(data: bytes) -> int:
    """How many lists the first element is in."""
    opened = _OPENED.match(data)
    return opened[0].count(b"[") if opened else 0


@cache
def _decoder(kind: Any, depth: int) -> msgspec.json.Decoder[Any]:
    """One for each kind of element and number of dimensions."""
    for _ in range(depth):
        kind = list[kind]
    return msgspec.json.Decoder(kind)


def _element(datatype: str) -> Any:
    if DATATYPES[datatype].span is not None:
        return int
    return {"BOOL": bool, "BYTES": str}.get(datatype, float)


def _bool(parameters: Parameters, name: str, at: str, default: bool = False) -> bool:
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise bad(f"{at}.{name}: must be true or false")
    return found


def _not_offered(parameters: Parameters, at: str) -> None:
    for name in (SHARED, "classification"):
        if name in parameters:
            raise bad(f"{at}.{name}: is not offered here")


def _placed(error: msgspec.ValidationError, at: str) -> str:
    """`inputs[0].shape[1]: Expected int`, as our messages are."""
    what, _, where = str(error).partition(" - at `$")
    where = (at + where.removesuffix("`")).strip(".")
    return f"{where}: {what}" if where else what


def _short(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:200]
